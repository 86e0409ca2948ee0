/*
 * heap.h: who serves a request.
 *
 * The fast paths of malloc and free are inline: two stores, one compare, one call.  All else is in
 * heap.c.  Sizes and alignments are in bytes.  These functions are thread-safe; like glibc's they
 * are not async-signal-safe in the thread that was interrupted inside one of them.
 */
#ifndef UNSPLIT_HEAP_HEAP_H
#define UNSPLIT_HEAP_HEAP_H

#include <mimalloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/thread.h"
#include "site/plan.h"

/* All return NULL and set errno to ENOMEM if the request cannot be met.  `caller` is the return
 * address of the exported function: a rule may have a plan for what is asked for there (site/).
 * NULL: no rule is asked. */
void *heap_malloc(size_t n, const void *caller);
void *heap_calloc(size_t count, size_t size, const void *caller);
void *heap_realloc(void *p, size_t n, const void *caller);
/* align must be a power of two. */
void *heap_aligned(size_t align, size_t n, const void *caller);
/* As `plan` says, whatever the rules do; NULL is no plan.  align is a power of two; `zero` asks for
 * memory that reads as zero, and goes with align <= 16 only. */
void *heap_planned(size_t n, size_t align, bool zero, const struct plan *plan, const void *caller);
/* Keeps errno. */
void heap_free(void *p);
size_t heap_usable(const void *p);
/* Return all that can be returned; true if something was. */
bool heap_trim(void);

/* Run `work` as a call of the heap, so that a fork() in another thread waits for its end, and the
 * keeper is started if it is wanted then.  Returns what it returns; 0, and it is not run, while the
 * heap is being made ready by this very thread. */
size_t heap_run(size_t (*work)(void *), void *argument);

/* Bytes promised to the program, and bytes of address space usable for it. */
struct heap_figures {
	size_t used, usable;
};
struct heap_figures heap_figures(void);

/* Called by the constructor: what may allocate, and so could not be done by the first malloc. */
void heap_constructor(void);
/* Write the report now (report/report.h). */
int heap_report(const char *where);

/* Serve what mimalloc has at hand: at most MI_SMALL_SIZE_MAX bytes.  NULL if the slow path must do
 * it; *n then still holds the size.  (It is read back from in_call, which spares the usual case a
 * register to save and restore: the fast path's instructions are counted in a test.) */
static inline __attribute__((always_inline)) void *heap_fast_malloc(size_t *n)
{
	volatile size_t *in_call = &self.in_call;

	*in_call = *n;
	if (__builtin_expect(*n - FAST_LEAST < self.fast_limit, 1)) {
		void *p = mi_malloc_small(*n);

		if (__builtin_expect(p != NULL, 1)) {
			*in_call = 0;
			return p;
		}
		*n = *in_call;
	}
	return NULL;
}

static inline __attribute__((always_inline)) void heap_fast_free(void *p)
{
	volatile size_t *in_call = &self.in_call;

	*in_call = 1;
	if (__builtin_expect((uintptr_t)p < self.free_limit, 1)) {
		mi_free(p);
		*in_call = 0;
		return;
	}
	heap_free(p);
}

#endif
