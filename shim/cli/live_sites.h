/*
 * live_sites.h: the call sites of a running process.
 */
#ifndef UNSPLIT_CLI_LIVE_SITES_H
#define UNSPLIT_CLI_LIVE_SITES_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/process.h"
#include "cli/view.h"
#include "report/emitter.h"
#include "site/sites.h"

/* Copies, those that asked for the most bytes first.  Their rules and the modules of their frames
 * are in this process' own tables, where the functions of site/ find them. */
struct live_site_list {
	bool on; /* the program tells sites apart; else there are none */
	struct site *sites;
	size_t count;
};

/* Copy them out of the process' memory; one process at a time.  0 or an errno value. */
int live_sites_take(struct live_site_list *l, const struct view *v, const struct process *p);
void live_sites_free(struct live_site_list *l);

/* The first of them, as a table of JSON, or as lines on standard output.  Nothing if they are off.
 */
void live_sites_emit(const struct live_site_list *l, struct emitter *e, size_t most);
void live_sites_print(const struct live_site_list *l, size_t most);

#endif
