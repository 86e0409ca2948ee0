/*
 * runs.h: an index of runs of neighbouring free units, by length.
 *
 * Two-level segregated lists: each length class has four subclasses a power of two, so that taking
 * and putting cost the same with ten units and with ten million.  A run is known by its first unit;
 * its length stands in its first and its last unit, so that neighbours find it.
 *
 * Mechanism only, without a lock: the filler's lock guards each index.
 */
#ifndef UNSPLIT_PMD_RUNS_H
#define UNSPLIT_PMD_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/unit.h"

enum { RUNS_CLASSES = 128 };

struct runs {
	uint64_t filled[RUNS_CLASSES / 64]; /* classes that have a run */
	struct unit *list[RUNS_CLASSES];
	size_t units; /* in all runs together */
};

/* Put units [first, first + n), which have the index's state already, in as one run. */
void runs_put(struct runs *r, struct unit *first, size_t n);
/* Take a whole run out by its first unit. */
void runs_take(struct runs *r, struct unit *first);
/* The first unit of a run of at least n units, the best fit but for a quarter; NULL if none is
 * found by looking at a few.  The run stays in. */
struct unit *runs_find(const struct runs *r, size_t n);
/* As runs_find(), but NULL only if there is none: it may have to look at many. */
struct unit *runs_search(const struct runs *r, size_t n);
/* The first unit of one of the longest runs (within a quarter); NULL if there is no run. */
struct unit *runs_longest(const struct runs *r);

bool runs_consistent(const struct runs *r, enum unit_state state);

#endif
