/*
 * verdict.h: which rule a call site gets for what was learned of it.
 */
#ifndef UNSPLIT_CLI_VERDICT_H
#define UNSPLIT_CLI_VERDICT_H

#include <stdio.h>

#include "cli/learnt.h"

/* Of the pages in the would-be huge pages that a site touches, how many percent it touches.  A huge
 * page saves time from 14 percent on (70 of 512 pages, K8), but what is not touched is charged all
 * the same: hence more for a rule that asks for it, and a rule against it where three quarters and
 * more would be wasted.  Macros, for the help text. */
#define DENSE_PERCENT  50
#define SPARSE_PERCENT 25
/* What a site must waste at its peak to get a rule against huge pages: less may be the first part
 * of a block that a longer run goes on to fill. */
#define WASTE_MIB 4
/* How long blocks must live to be worth a rule: so much of the run, or so many seconds. */
#define LONG_PERCENT 10
#define LONG_SECONDS 1

/* Sort the sites, the largest peak first, and write rules for them. */
void verdicts_write(struct learnt *l, FILE *file);

#endif
