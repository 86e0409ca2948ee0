/*
 * callers.h: small requests, which are told apart by their direct caller alone.
 *
 * They are too many for anything but a few loads, and nearly all have no plan.  So of a rule's
 * conditions on the stack only the innermost frame counts for them, and what holds for it is kept
 * in a table by return address, in which what is new displaces what is old.
 */
#ifndef UNSPLIT_SITE_CALLERS_H
#define UNSPLIT_SITE_CALLERS_H

#include <stdbool.h>
#include <stdint.h>

struct caller {
	const void *pc;
	uint64_t bits[2]; /* the rules whose conditions on the stack hold */
};

enum { CALLERS_SHIFT = 64 - 12 };
extern struct caller callers[1 << (64 - CALLERS_SHIFT)];

static inline struct caller *caller_slot(const void *pc)
{
	return &callers[(uintptr_t)pc * 0x9E3779B97F4A7C15u >> CALLERS_SHIFT];
}

/* Whether this caller is known to have no plan.  (Should another thread just put another caller
 * into the slot, the answer may be that one's: a plan missed once.) */
static inline bool caller_is_plain(const void *pc)
{
	const struct caller *c = caller_slot(pc);

	return __atomic_load_n(&c->pc, __ATOMIC_ACQUIRE) == pc && !(c->bits[0] | c->bits[1]);
}

/* The rules whose conditions on the stack hold for this caller.  May call malloc on first sight. */
void caller_bits(const void *pc, uint64_t bits[2]);

#endif
