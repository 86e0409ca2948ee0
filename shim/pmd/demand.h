/*
 * demand.h: how many units hold something, now and at most since somebody last asked.
 *
 * Kept by the ledger and the filler, read by the policy in release/, which decides from it how many
 * wholly free units to keep.  Lock-free.
 */
#ifndef UNSPLIT_PMD_DEMAND_H
#define UNSPLIT_PMD_DEMAND_H

#include <stddef.h>

#include "pmd/atomic.h"
#include "kernel/kernel.h"
#include "report/stats.h"

struct demand {
	uint64_t units; /* that hold something */
	uint64_t peak;  /* the most of it since demand_peak() was last called */
};

extern struct demand demand;

static inline void demand_rise(size_t units)
{
	uint64_t now = at_add(&demand.units, units);

	stats_raise(&demand.peak, now + units);
	stats_raise(&stats.used_peak, (now + units) << machine.unit_shift);
}

static inline void demand_fall(size_t units)
{
	at_sub(&demand.units, units);
}

static inline uint64_t demand_now(void)
{
	return at_get(&demand.units);
}

/* The peak since the last call; a new one begins at what is held now. */
static inline uint64_t demand_peak(void)
{
	uint64_t now = demand_now();
	uint64_t peak = at_swap(&demand.peak, now);

	return peak > now ? peak : now;
}

#endif
