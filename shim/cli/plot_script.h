/*
 * plot_script.h: what gnuplot is told to draw.
 */
#ifndef UNSPLIT_CLI_PLOT_SCRIPT_H
#define UNSPLIT_CLI_PLOT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/sample.h"

/* A recording, and what a look through it found. */
struct recording {
	const char *path;
	unsigned long rows;
	bool drawn[SAMPLE_FIGURES]; /* some row has a value */
};

struct plot {
	const char *terminal; /* gnuplot's name for the output's form */
	const char *title;    /* may be NULL */
	const char *target;   /* the file that is drawn */
	const struct recording *recordings;
	size_t count;
};

/* One recording: used, backed, huge and charged over time.  Several: the memory of each, and below
 * it how much of each is huge. */
void plot_script(FILE *out, const struct plot *p);

#endif
