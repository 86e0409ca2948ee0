/*
 * zone.h: reserved address ranges, and the advice that covers them.
 *
 * Vocabulary
 *   prefix  a reserved range of which a growing prefix is usable.  Growth is one mprotect, rare
 *           and in large steps, so a prefix is two VMAs whatever happens inside it
 *   zone    a unit-aligned prefix with ONE policy (huge or base pages), so that its VMA flags are
 *           uniform and advising it costs no further VMAs (K3)
 *
 * A zone begins on base pages, unless its policy says huge.  Once the heap has proven big
 * (zones_prove()), every zone, and every later one, is advised huge, whole, once, unless its policy
 * says base.
 *
 * All functions are thread-safe and call no malloc.
 */
#ifndef UNSPLIT_PMD_ZONE_H
#define UNSPLIT_PMD_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernel.h"
#include "pmd/atomic.h"

struct prefix {
	char *base;
	size_t bytes;
	size_t step;  /* it grows by multiples of this */
	size_t ready; /* bytes usable from base; grows only, under zones' lock */
};

/* Reserve `bytes`, aligned to `align` (a power of two), near `hint` if it is free.  Returns 0 or
 * ENOMEM. */
int prefix_reserve(struct prefix *p, void *hint, size_t bytes, size_t align);
void prefix_release(struct prefix *p);
/* Make the first `bytes` usable.  Returns 0, or ENOMEM (beyond the range, or refused by the kernel:
 * strict overcommit). */
int prefix_grow(struct prefix *p, size_t bytes);

static inline int prefix_need(struct prefix *p, size_t bytes)
{
	return bytes <= at_acquire(&p->ready) ? 0 : prefix_grow(p, bytes);
}

/* What holds for the whole of a zone. */
struct zone_policy {
	const char *name; /* in reports and, where the kernel has names, in /proc/PID/maps */
	enum { ZONE_WHEN_PROVEN, ZONE_HUGE, ZONE_BASE } pages;
	struct placement placement; /* on NUMA nodes (kernel/kernel.h) */
};

struct zone {
	struct zone_policy policy;
	struct prefix data;
	size_t units;      /* in the reservation */
	bool huge;         /* advised, and the kernel took it */
	struct zone *next; /* in the list of all zones, under zones' lock */
};

/* How much of `bytes` a zone should reserve: all, unless the program's address space is limited
 * (RLIMIT_AS); then an eighth of the limit, in steps of 32 MiB, so that there is room beside it. */
size_t zone_share(size_t bytes);

/* Whether threads shall be served from zones of their own node: where there are several nodes,
 * unless address space is limited, of which each zone takes a good part.  Decided once. */
bool zones_per_node(void);

/* Reserve a zone of as many of `bytes` as the address space limit allows, at least `least` (both
 * multiples of a unit), aligned to `align`.  Returns 0 or ENOMEM.  Nobody else knows the zone until
 * zone_join(): what belongs to it may still turn out not to be had, and prefix_release() undoes
 * it. */
int zone_open(struct zone *z, const struct zone_policy *policy, void *hint, size_t bytes,
              size_t least, size_t align);

/* Place and advise a zone, and put it into the list of all zones, for good. */
void zone_join(struct zone *z);

static inline bool zone_owns(const struct zone *z, const void *p)
{
	return (uintptr_t)p - (uintptr_t)z->data.base < z->data.bytes;
}

/* Advise all zones huge from now on, but for those that are to stay on base pages.  Idempotent. */
void zones_prove(void);
bool zones_proven(void);
/* Whether units of such zones are to be huge: they are proven, or were to be huge at once. */
bool zone_wants_huge(const struct zone_policy *policy);
/* Whether there are any such. */
bool zones_want_huge(void);
/* Advise one range of a zone as the zone is (after remap()). */
void zone_readvise(struct zone *z, void *addr, size_t bytes);
/* Return whole units, so that they fault in huge again.  Where they had a page table (they were
 * demoted, or moved to), they are mapped `afresh`: only that takes a page table away on every
 * kernel, and a unit that has one gets base pages (K2).  Returns 0 or an errno value. */
int zone_return(struct zone *z, void *addr, size_t bytes, bool afresh);

/* Resident bytes of all zones, for the question whether the heap has proven big. */
size_t zones_resident(void);
/* Visit all zones, newest first.  The list only grows. */
struct zone *zones_first(void);

/* Forget everything: between unit tests. */
void zones_reset(void);

#endif
