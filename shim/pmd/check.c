#include "pmd/filler.h"
#include "pmd/pack.h"
#include "pmd/stock.h"

static bool unit_consistent(const struct unit *u)
{
	unsigned count = bits_count(&u->used);

	if (count != u->used_count)
		return false;
	for (unsigned i = 0; i < BITS_WORDS; i++)
		if (u->used.w[i] & ~u->touched.w[i])
			return false;
	if (u->demoted && !u->broken)
		return false;
	switch (u->state) {
	case UNIT_PART:
		return u->busy || (count > 0 && u->longest == bits_longest_clear(&u->used));
	case UNIT_WHOLE:
		return count == UNIT_PAGES;
	case UNIT_CLEAN:
		return count == 0 && !u->demoted && !bits_any(&u->touched, 0, UNIT_PAGES);
	case UNIT_KEPT:
	case UNIT_BUSY:
		return count == 0;
	default:
		return false;
	}
}

/* Free neighbours of one state must be one run. */
static bool runs_are_joined(const struct filler_zone *z)
{
	for (size_t i = 0; i < z->top;) {
		const struct unit *u = unit_at(z, i);

		if (u->state != UNIT_KEPT && u->state != UNIT_CLEAN) {
			i++;
			continue;
		}
		i += u->run;
		if (!u->run || (i < z->top && u[u->run].state == u->state))
			return false;
	}
	return true;
}

struct census {
	size_t state[UNIT_BUSY + 1];
	size_t part_pages, demoted;
};

static bool zone_consistent(const struct filler_zone *z, struct census *c)
{
	for (size_t i = 0; i < z->top; i++) {
		const struct unit *u = unit_at(z, i);

		if (!unit_consistent(u))
			return false;
		c->state[u->state]++;
		c->demoted += u->demoted;
		if (u->state == UNIT_PART)
			c->part_pages += u->used_count;
	}
	return runs_are_joined(z);
}

static bool counts_consistent(const struct filler *f, const struct census *c)
{
	return f->pack.units == c->state[UNIT_PART] && f->pack.used_pages == c->part_pages &&
	       f->kept.units == c->state[UNIT_KEPT] && f->clean.units == c->state[UNIT_CLEAN] &&
	       f->whole_units == c->state[UNIT_WHOLE] && f->demoted_units == c->demoted;
}

bool filler_consistent(struct filler *f)
{
	struct census c = {0};
	bool ok = true;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; ok && i < at_acquire(&f->zone_count); i++)
		ok = zone_consistent(&f->zones[i], &c);
	ok = ok && counts_consistent(f, &c) && pack_consistent(&f->pack) &&
	     runs_consistent(&f->kept, UNIT_KEPT) && runs_consistent(&f->clean, UNIT_CLEAN);
	pthread_mutex_unlock(&f->lock);
	return ok;
}
