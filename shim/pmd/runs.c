#include "pmd/runs.h"

#include "pmd/atomic.h"
#include "pmd/list.h"

/* Lengths 1..7 have a class each; from 8 on there are four classes to a power of two. */
static unsigned class_of(size_t n)
{
	if (n < 8)
		return (unsigned)n;
	unsigned log = 63u - (unsigned)__builtin_clzl(n);
	return 8 + (log - 3) * 4 + (unsigned)(n >> (log - 2) & 3);
}

static void mark(struct runs *r, unsigned class)
{
	uint64_t bit = 1ull << (class % 64);

	if (r->list[class])
		r->filled[class / 64] |= bit;
	else
		r->filled[class / 64] &= ~bit;
}

void runs_put(struct runs *r, struct unit *first, size_t n)
{
	unsigned class = class_of(n);

	first[0].run = first[n - 1].run = (uint32_t)n;
	list_push(&r->list[class], first, BY_FIT);
	mark(r, class);
	at_set(&r->units, r->units + n);
}

void runs_take(struct runs *r, struct unit *first)
{
	unsigned class = class_of(first->run);

	list_remove(&r->list[class], first, BY_FIT);
	mark(r, class);
	at_set(&r->units, r->units - first->run);
}

/* The lowest filled class from `class` on; RUNS_CLASSES if there is none. */
static unsigned next_filled(const struct runs *r, unsigned class)
{
	for (unsigned i = class / 64; i < RUNS_CLASSES / 64; i++) {
		uint64_t w = r->filled[i];

		if (i == class / 64)
			w &= ~0ull << (class % 64);
		if (w)
			return i * 64 + (unsigned)__builtin_ctzll(w);
	}
	return RUNS_CLASSES;
}

struct unit *runs_find(const struct runs *r, size_t n)
{
	enum { LOOK_AT = 16 };

	if (n > UINT32_MAX)
		return NULL; /* no run can be that long, and no class is for it */
	unsigned class = class_of(n), later = next_filled(r, class + 1);
	struct unit *u = r->list[class];

	/* Runs of n's own class may be too short; of any later class none is. */
	for (unsigned looked = 0; u && looked < LOOK_AT; u = u->next[BY_FIT], looked++)
		if (u->run >= n)
			return u;
	return later < RUNS_CLASSES ? r->list[later] : NULL;
}

struct unit *runs_search(const struct runs *r, size_t n)
{
	struct unit *u = runs_find(r, n);

	if (u || n > UINT32_MAX)
		return u;
	for (u = r->list[class_of(n)]; u && u->run < n; u = u->next[BY_FIT])
		;
	return u;
}

struct unit *runs_longest(const struct runs *r)
{
	for (unsigned i = RUNS_CLASSES / 64; i-- > 0;)
		if (r->filled[i])
			return r->list[i * 64 + 63 - (unsigned)__builtin_clzll(r->filled[i])];
	return NULL;
}

static bool run_consistent(const struct unit *first, unsigned class, enum unit_state state)
{
	if (!first->run || class_of(first->run) != class || first[first->run - 1].run != first->run)
		return false;
	for (size_t i = 0; i < first->run; i++)
		if (first[i].state != state || first[i].used_count)
			return false;
	return true;
}

bool runs_consistent(const struct runs *r, enum unit_state state)
{
	size_t units = 0;

	for (unsigned class = 0; class < RUNS_CLASSES; class ++) {
		bool filled = r->filled[class / 64] >> (class % 64) & 1;

		if (filled != (r->list[class] != NULL))
			return false;
		for (const struct unit *u = r->list[class]; u; u = u->next[BY_FIT]) {
			if (!run_consistent(u, class, state) ||
			    (u->next[BY_FIT] && u->next[BY_FIT]->prev[BY_FIT] != u))
				return false;
			units += u->run;
		}
	}
	return units == r->units;
}
