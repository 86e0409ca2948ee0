/*
 * large.h: requests above mimalloc's share, as extents, with a cache of freed ones in each thread.
 *
 * Sizes are in bytes.  Every function must be called between thread_enter() and thread_leave(),
 * but for large_free(), large_alloc(), large_resize() and large_usable(), which work in a
 * THREAD_LATE thread too (without the cache).
 */
#ifndef UNSPLIT_HEAP_LARGE_H
#define UNSPLIT_HEAP_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/filler.h"
#include "release/release.h"
#include "site/plan.h"

/* One for each policy that is in use: a zone has one policy.  The first is the usual one. */
enum { LARGE_FILLERS = RELEASE_FILLERS };
extern struct filler large_fillers[LARGE_FILLERS];
extern size_t large_filler_count; /* grows only */

/* Reserves the first zone.  Returns 0 or ENOMEM: then requests try again. */
int large_init(void);
/* The lowest address an extent may have; UINTPTR_MAX while there is none. */
uintptr_t large_lowest(void);
bool large_owns(const void *p);

/* At least n bytes, aligned to `align` (a power of two; a page if less), as `plan` says (NULL: as
 * usual).  *zero says whether they
 * read as zero; NULL for `zero` if that does not matter.  NULL if there is no memory; errno is not
 * set. */
void *large_alloc(size_t n, size_t align, const struct plan *plan, bool *zero);
void large_free(void *p);
/* Bytes that may be used at p. */
size_t large_usable(const void *p);
/* Make the block at p at least n bytes long: where it is, else elsewhere under the same plan.  NULL
 * if there is no memory; the old block then stays. */
void *large_realloc(void *p, size_t n);

/* Give this thread's cached extents back to the filler. */
void large_collect(void);
void large_thread_end(void);

#endif
