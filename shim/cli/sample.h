/*
 * sample.h: the figures of a process at one moment, as `unsplit stat` prints and `unsplit record`
 * writes them line by line.
 */
#ifndef UNSPLIT_CLI_SAMPLE_H
#define UNSPLIT_CLI_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/view.h"

enum sample_figure {
	SAMPLE_USED,
	SAMPLE_BACKED,  /* anonymous memory of the whole process, so that any can be compared */
	SAMPLE_CHARGED, /* to the memory cgroup */
	SAMPLE_HUGE,    /* of backed */
	SAMPLE_BROKEN,  /* units of the heap */
	/* Counters from here on. */
	SAMPLE_RETURNED,
	SAMPLE_DEMOTED,
	SAMPLE_HEALED,
	SAMPLE_CUTS,
	SAMPLE_FIGURES
};

enum { SAMPLE_COUNTERS = SAMPLE_RETURNED };

/* A program reads them, so they do not change. */
extern const char *const sample_keys[SAMPLE_FIGURES];

struct sample {
	uint64_t value[SAMPLE_FIGURES];
	bool known[SAMPLE_FIGURES]; /* those of the heap only if the library is in the process */
};

struct sample sample_of(const struct view *v);
/* The same with the counters as what was added since `before`. */
struct sample sample_since(const struct sample *now, const struct sample *before);

/* Members of a JSON object, without its braces. */
void sample_print_json(FILE *out, const struct sample *s);

#endif
