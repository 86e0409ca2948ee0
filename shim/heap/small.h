/*
 * small.h: small objects, served by mimalloc out of zones of ours.
 *
 * mimalloc gets its memory from small zones, whose use it reports through its calls of madvise and
 * mprotect: both slots in its global offset table point at us, so that the ledger knows each free
 * span at once and no system call is made for it (pmd/ledger.h).
 *
 * What a rule has a plan for gets a mimalloc heap of its own in each thread, so that it shares no
 * page of mimalloc's with anything else.  It lies in the same zones all the same, so of a plan's
 * settings the rest has no effect on small objects.
 *
 * Every function must be called between thread_enter() and thread_leave().
 */
#ifndef UNSPLIT_HEAP_SMALL_H
#define UNSPLIT_HEAP_SMALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/ledger.h"
#include "release/release.h"
#include "site/plan.h"

enum { SMALL_ZONES = RELEASE_LEDGERS };

/* Ledgers below the count never change place; the count grows only. */
extern struct ledger small_ledgers[SMALL_ZONES];
extern size_t small_ledger_count;

/* Reserve the first zones, one for each NUMA node, and make mimalloc use them.  Returns 0 or
 * ENOMEM. */
int small_init(void);
/* Pointers below this, NULL included, are mimalloc's or nobody's: if its zones lie at the low
 * addresses that we ask for; else 0.  To be asked once, at start. */
uintptr_t small_free_limit(void);
bool small_owns(const void *p);

/* n is at most options.small_max.  NULL if there is no memory; errno is not set. */
void *small_malloc(size_t n, const struct plan *plan);
void *small_zalloc(size_t n, const struct plan *plan);
/* align is a power of two below a page; n + align at most options.small_max. */
void *small_aligned(size_t align, size_t n, const struct plan *plan);
void *small_realloc(void *p, size_t n);
void small_free(void *p);
size_t small_usable(const void *p);
/* Give what this thread's heap has free to the ledgers. */
void small_collect(void);
/* To be called in each thread before its first request and after thread_recall(): see that it has
 * its memory from a zone of its node. */
void small_settle(void);
void small_thread_end(void);

#endif
