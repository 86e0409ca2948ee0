/*
 * sites.h: the call sites of one report or several, added up.
 */
#ifndef UNSPLIT_CLI_SITES_H
#define UNSPLIT_CLI_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/report_file.h"

/* All strings are those of the report that the site was found in first. */
struct site_row {
	const char *site, *kind;
	uint64_t count, bytes;
	json_t *frames; /* array of "module+0xoffset", the innermost first; the row's own */
};

struct sites {
	struct site_row *rows;
	size_t count, room;
};

/* Add the sites of a report, which must stay open.  False after a line on stderr: its "sites" are
 * not what they should be.  A report without any adds none. */
bool site_list_add(struct sites *s, const struct report_file *f);
void site_list_free(struct sites *s);
/* Those with the most bytes first. */
void site_list_sort(struct sites *s);

/* Frame number i, "" beyond the last.  With `symbols` by its function's name, if that is known; the
 * result is good until the next call. */
const char *site_frame(const struct site_row *row, size_t i, bool symbols);

/* A line each, "outermost;...;innermost BYTES", as flamegraph.pl and speedscope read it. */
void site_list_fold(FILE *out, const struct sites *s, bool symbols);

#endif
