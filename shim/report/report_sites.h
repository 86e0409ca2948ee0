/*
 * report_sites.h: the parts of the report about rules and call sites.
 */
#ifndef UNSPLIT_REPORT_REPORT_SITES_H
#define UNSPLIT_REPORT_REPORT_SITES_H

#include "report/emitter.h"

/* What each rule decided; nothing if there are none. */
void report_rules(struct emitter *e);
/* The sites that asked for most; nothing unless sites are on. */
void report_sites(struct emitter *e);

#endif
