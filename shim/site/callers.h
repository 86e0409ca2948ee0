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
#include <stddef.h>
#include <stdint.h>

/* Callers that no rule has a plan for, whatever the size or the thread: nearly all.  Known by one
 * load.  Empty, but for NULL, while rules have no say in small requests. */
enum { CALLERS_BITS = 12 };
extern const void *callers_plain[1 << CALLERS_BITS];

static inline size_t caller_hash(const void *pc)
{
	return (uint32_t)(uintptr_t)pc * 0x9E3779B1u >> (32 - CALLERS_BITS);
}

static inline bool caller_is_plain(const void *pc)
{
	return __atomic_load_n(&callers_plain[caller_hash(pc)], __ATOMIC_RELAXED) == pc;
}

struct rules;

/* Which of `rules` have conditions on the stack that hold for this caller.  May call malloc on
 * first sight. */
void caller_bits(const struct rules *rules, const void *pc, uint64_t bits[2]);
/* Other rules than before are in force: no caller is known to be plain. */
void callers_forget(void);

#endif
