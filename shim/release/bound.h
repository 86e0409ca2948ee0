/*
 * bound.h: how much slack partly used units may hold.
 *
 * Slack is memory that is backed but free, in units that are not wholly free.  It is what keeping
 * units huge costs.  Beyond the bound for longer than the delay, the units with the most slack are
 * demoted: split on purpose, and their free pages given back.
 *
 * The caller holds the worker's token.
 */
#ifndef UNSPLIT_RELEASE_BOUND_H
#define UNSPLIT_RELEASE_BOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/filler.h"

void bound_reset(void);
/* Pages of slack that are tolerated; SIZE_MAX with release:keep, unless a rule says otherwise for
 * some fillers: then in those. */
size_t bound_pages(bool pressure);
/* Pages of slack that there are where the bound holds. */
size_t bound_slack(void);
/* Pages of slack that are tolerated for ever. */
size_t bound_tolerated(void);
/* Pages of slack beyond the bound that are due to go at `now` (ns): 0 until they have been there
 * for a delay. */
size_t bound_excess(uint64_t now, uint64_t delay, bool pressure);
/* Whether units were refused that will be tried again: there is something to wait for. */
bool bound_refused(void);
/* Demote units, those with the most slack first, until about `pages` went, or `units` units were
 * demoted, or none is worth it.  Returns the pages given back. */
size_t bound_demote(size_t pages, size_t units);
/* The same where the bound does not hold, too, because options.release is keep; but not where a
 * rule says keep. */
size_t bound_demote_all(size_t pages, size_t units);

/* Pages that were used when something was last demoted. */
size_t bound_demoted_at(void);

/* Whether a filler's slack may be given back: not where a rule says `keep`. */
bool bound_may_demote(const struct filler *f);
/* Demote what has slack in fillers where a rule says `tight`; `units` at most.  Returns how many
 * were tried. */
size_t bound_tighten(size_t units);

#endif
