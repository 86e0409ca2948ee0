/*
 * site.h: which call site asks for memory, and what the rules decided for it.
 *
 * A site is the hash of the first frames of the call stack as (build-id, offset) pairs: stable
 * across runs, hosts and address randomization.  To find it costs an unwind, so a lock-free table
 * of stacks seen before, keyed by the direct return address and the depth, answers first
 * (stacks.h); unwinding (frames.h) is for first sight.
 *
 * Nothing here is called under a lock of ours, and what it calls itself (libc, the demangler) may
 * call malloc: such a call is served without looking at its site.
 */
#ifndef UNSPLIT_SITE_SITE_H
#define UNSPLIT_SITE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "site/plan.h"

struct site;
enum site_kind { SITE_MALLOC = 1, SITE_MMAP = 2, SITE_SHARED = 4 };

struct rules;

/* Whether any request is looked up at all.  Set by site_init(), or when rules are loaded; stays. */
extern bool site_active;

/* Whether rules may have a say in requests that mimalloc serves. */
extern bool site_small;

/* Read the rules, set up the tables: from the constructor, once the heap is ready.  Does nothing,
 * and costs nothing, unless the options ask for rules or sites. */
void site_init(void);

/* From now on these are the rules, which stay as they are for as long as the process lives.  False,
 * and nothing changed, if there is no memory.  One caller at a time; requests go on meanwhile. */
bool site_use(const struct rules *r);

/* Read the rules of a file (NULL: none) and use them.  unsplit_load_rules() of unsplit.h says what
 * is returned, and what is done with mistakes. */
int site_load_rules(const char *path, char *mistake, size_t size);

/* The plan for a request of `bytes` by the code at `caller` (the return address of the exported
 * function); NULL if no rule matches.  Thread-safe; async-signal-safe as malloc is.  Keeps errno.
 * Must not be called between thread_enter() and thread_leave(), nor under any lock. */
const struct plan *site_lookup(enum site_kind kind, size_t bytes, const void *caller);

/* Count a small request (below what is looked up), for statistics only: about one in 512 KiB of
 * them is looked at, and stands for the rest.  For slow paths; does nothing unless sites:on.  The
 * same conditions as for site_lookup(). */
void site_sample(size_t bytes, const void *caller);

/* The site that this thread's last site_lookup() found, once: then, and if it found none, NULL. */
const struct site *site_take_last(void);

/* Between unit tests: forget all sites, and be inactive. */
void site_reset(void);

static inline const struct plan *site_plan(enum site_kind kind, size_t bytes, const void *caller)
{
	return __builtin_expect(site_active, 0) ? site_lookup(kind, bytes, caller) : NULL;
}

#endif
