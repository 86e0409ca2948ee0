/*
 * proof.h: when is the heap big enough for huge pages?
 *
 * A small program must stay small: until options.huge_after bytes of the heap are resident, it
 * stays on base pages.  What is promised says little (mimalloc takes a megabyte at the first malloc
 * and touches a few pages of it), so the kernel is asked what is resident, rarely.
 */
#ifndef UNSPLIT_HEAP_PROOF_H
#define UNSPLIT_HEAP_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "report/stats.h"

/* The next amount promised at which to ask again; SIZE_MAX once proven. */
extern uint64_t proof_next;

void proof_ask(void);

/* To be called on slow paths, outside of any lock. */
static inline void proof_check(void)
{
	if (__builtin_expect(stat_get(small_used) + stat_get(large_used) >
	                             __atomic_load_n(&proof_next, __ATOMIC_RELAXED),
	                     0))
		proof_ask();
}

/* Whether a plan that wants huge pages, proof or no proof, may have them. */
bool proof_may_be_huge(void);
/* Ask again soon: options.huge_after has changed. */
void proof_again(void);

/* Bring the statistics up to date that are derived from others. */
void proof_account(void);

#endif
