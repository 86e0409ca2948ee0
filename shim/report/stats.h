/*
 * stats.h: what we count, declared once.
 *
 * The list is stats.def; the struct, the text report and the JSON all come out of it.  Counters are
 * relaxed atomics, bumped on slow paths only, so reading them costs the program nothing.
 */
#ifndef UNSPLIT_REPORT_STATS_H
#define UNSPLIT_REPORT_STATS_H

#include <stdbool.h>
#include <stdint.h>

/* Plain members, so that C++ tests can read them; touch them by the macros below only. */
struct stats {
#define STAT(name, unit, help) uint64_t name;
#include "stats.def"
};

extern struct stats stats;

#define stat_add(name, n) __atomic_fetch_add(&stats.name, (n), __ATOMIC_RELAXED)
#define stat_sub(name, n) __atomic_fetch_sub(&stats.name, (n), __ATOMIC_RELAXED)
#define stat_get(name)    __atomic_load_n(&stats.name, __ATOMIC_RELAXED)
#define stat_set(name, n) __atomic_store_n(&stats.name, (n), __ATOMIC_RELAXED)

/* Raise a high-water mark to `n` if it is below. */
static inline void stats_raise(uint64_t *mark, uint64_t n)
{
	uint64_t old = __atomic_load_n(mark, __ATOMIC_RELAXED);

	while (old < n && !__atomic_compare_exchange_n(mark, &old, n, true, __ATOMIC_RELAXED,
	                                               __ATOMIC_RELAXED))
		;
}

#endif
