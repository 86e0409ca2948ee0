#include "pmd/pack.h"

#include "pmd/list.h"

enum { SLACK_STEP = 8 };

unsigned pack_backed(const struct unit *u)
{
	return u->broken ? bits_count(&u->touched) : UNIT_PAGES;
}

/* ---- the lists ---- */

static inline unsigned kind_of(const struct unit *u)
{
	if (!u->broken)
		return PACK_HUGE;
	return u->used_count < PACK_DENSE_PAGES ? PACK_SPARSE : PACK_DENSE;
}

static inline unsigned slack_class(const struct unit *u)
{
	return u->pinned ? PACK_PINNED : u->slack / SLACK_STEP;
}

static void mark(uint64_t *filled, unsigned class, const struct unit *list)
{
	uint64_t bit = 1ull << (class % 64);

	/* Set atomically: pack_worst_slack() reads without the lock. */
	at_set(&filled[class / 64], list ? filled[class / 64] | bit : filled[class / 64] & ~bit);
}

/* Pinned units are not for pack_worst() to find. */
static void mark_slack(struct pack *p, unsigned class)
{
	if (class != PACK_PINNED)
		mark(p->slack_filled, class, p->slack[class]);
}

/* Note what the lists sort by, and put the unit in. */
static void insert(struct pack *p, struct unit *u)
{
	unsigned kind = kind_of(u), class;

	u->longest = (uint16_t)bits_longest_clear(&u->used);
	u->slack = u->pinned ? 0 : (uint16_t)(pack_backed(u) - u->used_count);
	list_push(&p->fit[kind][u->longest], u, BY_FIT);
	mark(p->fit_filled[kind], u->longest, u);
	class = slack_class(u);
	list_push(&p->slack[class], u, BY_SLACK);
	mark_slack(p, class);
	at_set(&p->slack_pages, p->slack_pages + u->slack);
	if (kind == PACK_SPARSE)
		p->sparse_pages += u->used_count;
}

static void remove(struct pack *p, struct unit *u)
{
	unsigned kind = kind_of(u), class = slack_class(u);

	list_remove(&p->fit[kind][u->longest], u, BY_FIT);
	mark(p->fit_filled[kind], u->longest, p->fit[kind][u->longest]);
	list_remove(&p->slack[class], u, BY_SLACK);
	mark_slack(p, class);
	at_set(&p->slack_pages, p->slack_pages - u->slack);
	if (kind == PACK_SPARSE)
		p->sparse_pages -= u->used_count;
}

/* ---- units and pages ---- */

void pack_open(struct pack *p, struct unit *u)
{
	u->state = UNIT_PART;
	p->units++;
	insert(p, u);
}

void pack_close(struct pack *p, struct unit *u)
{
	remove(p, u);
	p->units--;
	p->used_pages -= u->used_count;
}

void pack_use(struct pack *p, struct unit *u, unsigned from, unsigned n)
{
	remove(p, u);
	bits_set(&u->used, from, n);
	bits_set(&u->touched, from, n);
	u->used_count += (uint16_t)n;
	p->used_pages += n;
	insert(p, u);
}

void pack_unuse(struct pack *p, struct unit *u, unsigned from, unsigned n)
{
	if (!u->busy)
		remove(p, u);
	bits_clear(&u->used, from, n);
	u->used_count -= (uint16_t)n;
	p->used_pages -= n;
	if (!u->busy)
		insert(p, u);
}

void pack_take_out(struct pack *p, struct unit *u)
{
	remove(p, u);
	u->busy = true;
}

void pack_put_in(struct pack *p, struct unit *u)
{
	u->busy = false;
	insert(p, u);
}

/* ---- finding ---- */

/* The lowest class from `class` on that is filled; `classes` if there is none. */
static unsigned next_filled(const uint64_t *filled, unsigned class, unsigned classes)
{
	for (unsigned i = class / 64; i <= (classes - 1) / 64; i++) {
		uint64_t w = filled[i];

		if (i == class / 64)
			w &= ~0ull << (class % 64);
		if (w)
			return i * 64 + (unsigned)__builtin_ctzll(w);
	}
	return classes;
}

/* Of the first few units in a list, the fullest. */
static struct unit *fullest(struct unit *list)
{
	enum { LOOK_AT = 4 };
	struct unit *best = list;
	unsigned looked = 0;

	for (struct unit *u = list; u && looked < LOOK_AT; u = u->next[BY_FIT], looked++)
		if (u->used_count > best->used_count)
			best = u;
	return best;
}

struct unit *pack_find(const struct pack *p, unsigned most, unsigned pages, unsigned align,
                       unsigned *from)
{
	/* A run of pages + align - 1 fits whatever its start; shorter ones may by luck, which
	 * is not worth a search. */
	unsigned need = pages + align - 1;

	for (unsigned kind = 0; kind <= most && need < PACK_FITS; kind++) {
		unsigned class = next_filled(p->fit_filled[kind], need, PACK_FITS);

		if (class == PACK_FITS)
			continue;
		struct unit *u = fullest(p->fit[kind][class]);
		*from = bits_best_clear(&u->used, pages, align);
		return u;
	}
	return NULL;
}

unsigned pack_worst_slack(const struct pack *p)
{
	for (unsigned i = PACK_SLACKS / 64 + 1; i-- > 0;) {
		uint64_t w = at_get(&p->slack_filled[i]);

		if (w)
			return (i * 64 + 63 - (unsigned)__builtin_clzll(w)) * SLACK_STEP;
	}
	return 0;
}

struct unit *pack_worst(const struct pack *p)
{
	unsigned slack = pack_worst_slack(p);

	return slack ? p->slack[slack / SLACK_STEP] : NULL;
}

/* ---- invariants ---- */

static bool fits_consistent(const struct pack *p, unsigned kind, size_t *units, size_t *pages)
{
	for (unsigned class = 0; class < PACK_FITS; class ++) {
		bool filled = p->fit_filled[kind][class / 64] >> (class % 64) & 1;

		if (filled != (p->fit[kind][class] != NULL))
			return false;
		for (const struct unit *u = p->fit[kind][class]; u; u = u->next[BY_FIT]) {
			if (u->longest != class || u->state != UNIT_PART || kind_of(u) != kind ||
			    u->busy)
				return false;
			*pages += u->used_count;
			++*units;
		}
	}
	return true;
}

static bool slacks_consistent(const struct pack *p, size_t *units, size_t *pages)
{
	for (unsigned class = 0; class < PACK_SLACKS; class ++) {
		bool filled = p->slack_filled[class / 64] >> (class % 64) & 1;

		if (filled != (class != PACK_PINNED && p->slack[class] != NULL))
			return false;
		for (const struct unit *u = p->slack[class]; u; u = u->next[BY_SLACK]) {
			if (slack_class(u) != class)
				return false;
			if (!u->pinned && u->slack + u->used_count != (int)pack_backed(u))
				return false;
			*pages += u->slack;
			++*units;
		}
	}
	return true;
}

bool pack_consistent(const struct pack *p)
{
	size_t fit = 0, used[PACK_KINDS] = {0}, slack = 0, pages = 0;

	for (unsigned kind = 0; kind < PACK_KINDS; kind++)
		if (!fits_consistent(p, kind, &fit, &used[kind]))
			return false;
	return slacks_consistent(p, &slack, &pages) && fit == slack && fit <= p->units &&
	       pages == p->slack_pages && used[PACK_SPARSE] == p->sparse_pages;
}
