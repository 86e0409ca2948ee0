/*
 * report_sites.h: the parts of the report about rules and call sites.
 */
#ifndef UNSPLIT_REPORT_REPORT_SITES_H
#define UNSPLIT_REPORT_REPORT_SITES_H

#include <stddef.h>

#include "report/emitter.h"
#include "site/sites.h"

/* What each rule decided; nothing if there are none. */
void report_rules(struct emitter *e);
/* The sites that asked for most; nothing unless sites are on. */
void report_sites(struct emitter *e);

/* How it is asked for: "malloc", "mmap", "shared" or "several". */
const char *report_kinds(const struct site *site);
/* The frames of a site, innermost first: what addr2line takes. */
enum { REPORT_FRAMES_SIZE = 184 * FRAMES_MOST };
void report_frames(char *buf, size_t size, const struct site *site);

#endif
