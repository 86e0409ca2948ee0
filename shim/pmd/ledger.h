/*
 * ledger.h: which slices of the small zone mimalloc uses, one atomic word a unit.
 *
 * mimalloc reports each span it takes or frees (its mprotect and madvise calls reach us, see
 * heap/small.h).  We only note it: a free span costs no system call, and a unit with no used slice
 * left is kept for the next demand until the policy wants it returned, whole.
 *
 * Vocabulary
 *   slice  1/32 of a unit: 64 KiB on x86-64, which is mimalloc's smallest span.  On machines where
 *          it is more, mimalloc is told not to report parts of a segment at all
 *   kept   a unit with no used slice that may still be backed by memory
 *
 * A word holds 32 used bits, DIRTY (something may have been written since the unit was last
 * returned), BUSY (a whole return or a demotion is under way; whoever wants the unit waits for it,
 * 9 us on average, K8), DEMOTED (split by us) and PINNED (not to be split).  All functions are
 * thread-safe and call no malloc.  Taking and giving are lock-free but for that wait; who looks for
 * units to return or demote holds the ranks' lock, but not in the kernel.
 */
#ifndef UNSPLIT_PMD_LEDGER_H
#define UNSPLIT_PMD_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/atomic.h"
#include "pmd/heal.h"
#include "pmd/ranks.h"
#include "pmd/zone.h"

#define LEDGER_USED    0xffffffffull
#define LEDGER_DIRTY   (1ull << 32) /* may hold something since it was last returned */
#define LEDGER_BUSY    (1ull << 33) /* on its way back to the kernel: wait */
#define LEDGER_DEMOTED (1ull << 34) /* split by us; what is backed stands in `backed` */
#define LEDGER_PINNED  (1ull << 35) /* the kernel would not split it (locked, shared): leave it */

struct ledger {
	struct zone zone;
	struct prefix words;  /* uint64_t, one a unit */
	struct prefix backed; /* uint32_t, one a unit; see LEDGER_DEMOTED */
	struct ranks ranks;   /* which are kept, and which have most slack */
	size_t top;           /* units from here on were never used */
	size_t kept;          /* units */
	size_t demoted;       /* units */
};

/* Open a ledger and its zone of up to `bytes`.  Returns 0 or ENOMEM. */
int ledger_open(struct ledger *l, const struct zone_policy *policy, void *hint, size_t bytes,
                size_t least, size_t align);

/* mimalloc is about to use [addr, addr+bytes), rounded outwards to slices: make it usable and note
 * it.  Returns 0 or ENOMEM, and then nothing is noted. */
int ledger_take(struct ledger *l, const void *addr, size_t bytes);

/* mimalloc does not use [addr, addr+bytes) any more, rounded inwards to slices.  Its contents may
 * be lost from now on. */
void ledger_give(struct ledger *l, const void *addr, size_t bytes);

/* Return up to `most` kept units to the kernel, neighbours in one call.  Returns how many went. */
size_t ledger_return(struct ledger *l, size_t most);

static inline size_t ledger_kept(const struct ledger *l)
{
	size_t kept = at_get(&l->kept);

	/* A unit may be taken again before its giver has counted it: below zero for a moment. */
	return kept > SIZE_MAX / 2 ? 0 : kept;
}

/* Backed pages (512 to a unit) that mimalloc does not use, in units that it does use and that are
 * not pinned; and the most that one unit has. */
size_t ledger_slack(struct ledger *l);
size_t ledger_worst_slack(struct ledger *l);
/* Give back the free slices of units that have at least `least` pages of them, those with the most
 * first, until `most` pages are given; a huge page is split for it, on purpose (K1).  Who wants a
 * slice of such a unit waits for it (0.3 to 0.6 ms).  Returns the pages given back. */
size_t ledger_demote(struct ledger *l, unsigned least, size_t most);
/* Let pinned units count as slack again. */
void ledger_unpin(struct ledger *l);
/* As filler_lack(), filler_heal_at() and filler_heal(). */
size_t ledger_lack(const struct ledger *l, const void *p);
enum heal_result ledger_heal_at(struct ledger *l, const void *p, size_t growth);
enum heal_result ledger_heal(struct ledger *l, struct heal_walk *walk,
                             const struct heal_limits *limits);

/* The invariants, for tests; to be called while nobody else uses the ledger. */
bool ledger_consistent(struct ledger *l);

#endif
