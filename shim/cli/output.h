/*
 * output.h: where a command's result goes: to standard output, or into a file that is there whole
 * or not at all.
 */
#ifndef UNSPLIT_CLI_OUTPUT_H
#define UNSPLIT_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

struct output {
	FILE *file;
	const char *path; /* NULL: standard output */
	char *temporary;
};

/* Begin to write; `path` NULL or "-" is standard output.  False after a line on stderr. */
bool output_open(struct output *o, const char *path);
/* End.  The file gets its name now, by rename(): who reads it meanwhile, as the node exporter does,
 * never sees half of it.  With `good` false it is thrown away.  False after a line on stderr. */
bool output_close(struct output *o, bool good);

#endif
