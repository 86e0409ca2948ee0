/*
 * site.h: which call site asks for memory, and what the rules decided for it.
 *
 * A site is the hash of the first frames of the call stack as (build-id, offset) pairs: stable
 * across runs, hosts and address randomization.  To find it costs an unwind, so a lock-free table
 * keyed by the direct return address answers first; libunwind is asked only on first sight, and
 * where rules need deeper frames.
 *
 * Nothing here is called under a lock of ours, and what it calls itself (libunwind, the loader) may
 * call malloc: such a call is served without looking at its site.
 */
#ifndef UNSPLIT_SITE_SITE_H
#define UNSPLIT_SITE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "site/plan.h"

enum site_kind { SITE_MALLOC = 1, SITE_MMAP = 2, SITE_SHARED = 4 };

/* Whether any request is looked up at all.  Set once, by site_init(). */
extern bool site_active;

/* Whether rules may have a say in requests that mimalloc serves; set once. */
extern bool site_small;

/* Read the rules, open libunwind: from the constructor, once the heap is ready.  Does nothing, and
 * costs nothing, unless the options ask for rules or sites. */
void site_init(void);

/* The plan for a request of `bytes` by the code at `caller` (the return address of the exported
 * function); NULL if no rule matches.  Thread-safe; async-signal-safe as malloc is.  Keeps errno.
 * Must not be called between thread_enter() and thread_leave(), nor under any lock. */
const struct plan *site_lookup(enum site_kind kind, size_t bytes, const void *caller);

static inline const struct plan *site_plan(enum site_kind kind, size_t bytes, const void *caller)
{
	return __builtin_expect(site_active, 0) ? site_lookup(kind, bytes, caller) : NULL;
}

/* Return addresses for which no rule has a plan, whatever the size or the thread: of small requests
 * these are nearly all, so they are known by one load.  A collision only costs a lookup. */
enum { SITE_PLAIN_BITS = 12 };
extern const void *site_plain[1 << SITE_PLAIN_BITS];

static inline const void **site_plain_slot(const void *caller)
{
	return &site_plain[(uintptr_t)caller * 0x9E3779B97F4A7C15u >> (64 - SITE_PLAIN_BITS)];
}

static inline bool site_has_no_plan(const void *caller)
{
	return __atomic_load_n(site_plain_slot(caller), __ATOMIC_RELAXED) == caller;
}

#endif
