/*
 * small.h: small objects, served by mimalloc out of zones of ours.
 *
 * mimalloc gets its memory from small zones, whose use it reports through its calls of madvise and
 * mprotect: both slots in its global offset table point at us, so that the ledger knows each free
 * span at once and no system call is made for it (pmd/ledger.h).
 *
 * Every function must be called between thread_enter() and thread_leave().
 */
#ifndef UNSPLIT_HEAP_SMALL_H
#define UNSPLIT_HEAP_SMALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/ledger.h"

enum { SMALL_ZONES = 16 };

/* Ledgers below the count never change place; the count grows only. */
extern struct ledger small_ledgers[SMALL_ZONES];
extern size_t small_ledger_count;

/* Reserve the first zone and make mimalloc use it.  Returns 0 or ENOMEM. */
int small_init(void);
/* Pointers below this, NULL included, are mimalloc's or nobody's: true while there is one zone, at
 * the low address that we ask for; else 0. */
uintptr_t small_free_limit(void);
bool small_owns(const void *p);

/* n is at most options.small_max.  NULL if there is no memory; errno is not set. */
void *small_malloc(size_t n);
void *small_zalloc(size_t n);
/* align is a power of two below a page; n + align at most options.small_max. */
void *small_aligned(size_t align, size_t n);
void *small_realloc(void *p, size_t n);
void small_free(void *p);
size_t small_usable(const void *p);
/* Give what this thread's heap has free to the ledgers. */
void small_collect(void);
void small_thread_end(void);

#endif
