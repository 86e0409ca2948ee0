/*
 * stacks.c: the table of stacks.
 */
#include "site/stacks.h"

#include <errno.h>

#include "pmd/atomic.h"
#include "pmd/meta.h"
#include "site/hash.h"
#include "site/modules.h"

/* Entries are as long as the options need them; `frames` of each array are there.  The version is
 * odd while the entry is being written, and a reader that sees it change takes nothing from it. */
struct stack {
	uint64_t version;
	uint64_t key;
	struct site *site;
	uint64_t mark;  /* of the modules that may be unloaded (modules.h) */
	uint64_t count; /* of frames above the innermost */
	struct {
		uint64_t pc;
		uint64_t offset; /* of where it lies */
	} frames[];
};

enum { STACKS = 1 << 15, WAYS = 4 };

struct table {
	size_t frames, entry_bytes;
	char entries[];
};

static struct table *table;

static size_t table_bytes(size_t entry_bytes)
{
	return sizeof(struct table) + STACKS * entry_bytes;
}

/* A table that others may be reading stays. */
int stacks_init(size_t frames)
{
	struct table *t = at_acquire(&table);
	size_t entry_bytes = sizeof(struct stack) + frames * sizeof(((struct stack *)0)->frames[0]);

	if (t && t->frames >= frames)
		return 0;
	t = meta_block(table_bytes(entry_bytes));
	if (!t)
		return ENOMEM;
	t->frames = frames;
	t->entry_bytes = entry_bytes;
	at_publish(&table, t);
	return 0;
}

void stacks_reset(void)
{
	if (table)
		meta_block_free(table, table_bytes(table->entry_bytes));
	table = NULL;
}

static struct stack *way(struct table *t, uint64_t key, size_t n)
{
	return (struct stack *)(t->entries + ((key + n) % STACKS) * t->entry_bytes);
}

/* ---- keys ---- */

/* The depth is counted from the thread's own words, which lie where its stack begins: so it is the
 * same for all threads that come the same way. */
static __thread char thread_anchor __attribute__((tls_model("initial-exec")));

static uint64_t key_of(const struct table *t, const void *caller, uintptr_t at)
{
	uint64_t key = hash_add(module_mark(caller), (uintptr_t)caller);

	if (t->frames > 1)
		key = hash_add(key, (uintptr_t)&thread_anchor - at);
	return key ? key : 1;
}

static uint64_t marks(const struct frames *f)
{
	uint64_t hash = 0;

	for (size_t i = 1; i < f->count; i++) {
		uint64_t mark = module_mark(f->pcs[i]);

		hash = mark ? hash_add(hash, mark) : hash;
	}
	return hash;
}

/* ---- finding ---- */

/* Whether the words lie there: `at` is within the thread's stack, and so is all that is above it up
 * to `high`. */
static bool lies_there(const struct stack *s, size_t count, uintptr_t at, uintptr_t high)
{
	for (size_t i = 0; i < count; i++) {
		uintptr_t slot = at + at_acquire(&s->frames[i].offset);

		if (slot < at || slot >= high ||
		    *(const uint64_t *)slot != at_acquire(&s->frames[i].pc))
			return false;
	}
	return true;
}

static uint64_t marks_of(const struct stack *s, size_t count)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t mark = module_mark((const void *)at_acquire(&s->frames[i].pc));

		hash = mark ? hash_add(hash, mark) : hash;
	}
	return hash;
}

static bool is_same(const struct table *t, const struct stack *s, uintptr_t at)
{
	size_t count = at_acquire(&s->count);
	uint64_t mark = at_acquire(&s->mark);
	struct stack_bounds b = stack_bounds;

	if (!count)
		return true;
	if (count >= t->frames)
		return false; /* being written */
	return at >= b.low && at < b.high && lies_there(s, count, at, b.high) &&
	       (!mark || mark == marks_of(s, count));
}

struct site *stacks_find(const void *caller, uintptr_t at)
{
	struct table *t = at_acquire(&table);
	uint64_t key = key_of(t, caller, at);

	for (size_t n = 0; n < WAYS; n++) {
		struct stack *s = way(t, key, n);
		uint64_t version = at_acquire(&s->version);

		if (at_acquire(&s->key) != key || version & 1 || !is_same(t, s, at))
			continue;
		struct site *site = at_acquire(&s->site);
		if (at_get(&s->version) == version)
			return site;
	}
	return NULL;
}

/* ---- adding ---- */

static bool can_keep(const struct table *t, const struct frames *f, uintptr_t at)
{
	if (f->count > t->frames)
		return false;
	for (size_t i = 1; i < f->count; i++)
		if (f->slots[i] < at)
			return false;
	return true;
}

/* Each store after the one that made the version odd, as each load before the second look at it. */
static void fill(struct stack *s, uint64_t key, const struct frames *f, uintptr_t at,
                 struct site *site)
{
	at_publish(&s->key, key);
	at_publish(&s->site, site);
	at_publish(&s->mark, marks(f));
	at_publish(&s->count, f->count - 1);
	for (size_t i = 1; i < f->count; i++) {
		at_publish(&s->frames[i - 1].pc, (uintptr_t)f->pcs[i]);
		at_publish(&s->frames[i - 1].offset, f->slots[i] - at);
	}
}

/* A free one, else any. */
static struct stack *choose(struct table *t, uint64_t key)
{
	struct stack *free = NULL;

	for (size_t n = 0; n < WAYS; n++) {
		struct stack *s = way(t, key, n);

		if (!free && !at_get(&s->key))
			free = s;
	}
	return free ? free : way(t, key, (key >> 32) % WAYS);
}

void stacks_add(const struct frames *f, uintptr_t at, struct site *site)
{
	struct table *t = at_acquire(&table);

	if (!can_keep(t, f, at))
		return;
	uint64_t key = key_of(t, f->pcs[0], at);
	struct stack *s = choose(t, key);
	uint64_t version = at_get(&s->version);
	if (version & 1 || !at_cas(&s->version, &version, version + 1))
		return; /* another thread writes there */
	fill(s, key, f, at, site);
	at_publish(&s->version, version + 2);
}
