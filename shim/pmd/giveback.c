#include "kernel/say.h"
#include "pmd/demand.h"
#include "pmd/filler.h"
#include "pmd/pack.h"
#include "pmd/stock.h"
#include "pmd/surgery.h"
#include "report/stats.h"

#include <string.h>

/* ---- whole returns ---- */

/* Whether any of them has a page table or a VMA of its own, which it would keep. */
static bool any_changed(const struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (u[i].moved || u[i].demoted)
			return true;
	return false;
}

static void forget(struct filler *f, struct filler_zone *z, struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		memset(&u[i].touched, 0, sizeof(u[i].touched));
		f->demoted_units -= u[i].demoted;
		u[i].moved = u[i].demoted = u[i].pinned = false;
		u[i].broken = !at_get(&z->zone.huge);
	}
}

static bool return_some(struct filler *f, size_t most, size_t *done)
{
	size_t n = 0;

	pthread_mutex_lock(&f->lock);
	struct unit *u = stock_claim_kept(f, most, &n);
	pthread_mutex_unlock(&f->lock);
	if (!u)
		return false;
	struct filler_zone *z = zone_of_unit(f, u);
	int error = zone_return(&z->zone, address_of(z, u, 0), n << machine.unit_shift,
	                        any_changed(u, n));
	pthread_mutex_lock(&f->lock);
	if (!error)
		forget(f, z, u, n);
	stock_put(f, z, u, n, error ? UNIT_KEPT : UNIT_CLEAN);
	pthread_mutex_unlock(&f->lock);
	if (error) {
		stat_add(return_failures, 1);
		return false;
	}
	stat_add(returned_units, n);
	stat_add(return_calls, 1);
	*done += n;
	return true;
}

size_t filler_return(struct filler *f, size_t most)
{
	size_t done = 0;

	while (done < most && return_some(f, most - done, &done))
		;
	return done;
}

size_t filler_kept(struct filler *f)
{
	return at_get(&f->kept.units);
}

/* ---- demotion ---- */

size_t filler_slack(const struct filler *f)
{
	return at_get(&f->pack.slack_pages);
}

size_t filler_worst_slack(const struct filler *f)
{
	return pack_worst_slack(&f->pack);
}

/* The pages of a unit that are backed and free. */
static struct bits slack_of(const struct unit *u)
{
	struct bits slack;

	for (unsigned i = 0; i < BITS_WORDS; i++)
		slack.w[i] = ~u->used.w[i] & (u->broken ? u->touched.w[i] : ~0ull);
	return slack;
}

/* Pass over a unit that there is no VMA for, so that others get their turn. */
static bool over_budget(struct filler *f, struct unit *u)
{
	if (u->demoted || f->demoted_units < SURGERY_MOST_DEMOTED)
		return false;
	pack_take_out(&f->pack, u);
	u->pinned = true;
	pack_put_in(&f->pack, u);
	return true;
}

static struct unit *claim_worst(struct filler *f, size_t least, struct bits *slack)
{
	pthread_mutex_lock(&f->lock);
	struct unit *u = pack_worst(&f->pack);
	if (u && (u->slack < least || over_budget(f, u)))
		u = NULL;
	if (u) {
		*slack = slack_of(u);
		pack_take_out(&f->pack, u);
	}
	pthread_mutex_unlock(&f->lock);
	return u;
}

static void note_demotion(struct filler *f, struct unit *u, const struct bits *given)
{
	for (unsigned i = 0; i < BITS_WORDS; i++)
		u->touched.w[i] &= ~given->w[i] | u->used.w[i];
	f->demoted_units += !u->demoted;
	u->broken = u->demoted = true;
}

/* Put the unit back where it belongs by now: it may have emptied meanwhile. */
static void put_back(struct filler *f, struct filler_zone *z, struct unit *u)
{
	pack_put_in(&f->pack, u);
	if (u->used_count)
		return;
	pack_close(&f->pack, u);
	demand_fall(1);
	stock_put(f, z, u, 1, UNIT_KEPT);
}

size_t filler_demote(struct filler *f, size_t least)
{
	struct bits slack;
	struct unit *u = claim_worst(f, least, &slack);

	if (!u)
		return 0;
	struct filler_zone *z = zone_of_unit(f, u);
	char *p = address_of(z, u, 0);
	bool split = (u->demoted && surgery_is_split(p)) || surgery_split(&z->zone, p);
	bool given = split && surgery_give_pages(p, &slack);
	pthread_mutex_lock(&f->lock);
	if (split)
		note_demotion(f, u, &slack);
	if (!given)
		u->pinned = true;
	put_back(f, z, u);
	pthread_mutex_unlock(&f->lock);
	return given ? bits_count(&slack) : 0;
}

void filler_unpin(struct filler *f)
{
	pthread_mutex_lock(&f->lock);
	for (struct unit *u; (u = f->pack.slack[PACK_PINNED]);) {
		pack_take_out(&f->pack, u);
		u->pinned = false;
		pack_put_in(&f->pack, u);
	}
	pthread_mutex_unlock(&f->lock);
}

/* ---- healing ---- */

enum { SURVEY_UNITS = 64 };

/* Bring what we note of a unit up to what the kernel says.  It may have been broken by a write
 * after fork or by a failed huge fault, or made whole by khugepaged. */
static void note_survey(struct filler *f, struct unit *u, const struct kernel_unit *seen)
{
	bool listed = u->state == UNIT_PART && !u->busy;

	if (u->broken == !seen->huge && !u->pinned)
		return;
	if (listed)
		pack_take_out(&f->pack, u);
	u->broken = !seen->huge || u->demoted;
	u->pinned = false;
	if (listed)
		pack_put_in(&f->pack, u);
}

/* What we know of a unit ourselves, on kernels that do not say (before 6.7): at least which ones we
 * demoted. */
static struct kernel_unit as_noted(const struct unit *u)
{
	return (struct kernel_unit){.resident = pack_backed(u), .huge = !u->broken};
}

static bool worth_healing(const struct unit *u, const struct kernel_unit *seen,
                          const struct heal_limits *limits)
{
	if ((u->state != UNIT_PART && u->state != UNIT_WHOLE) || u->busy || seen->huge)
		return false;
	return u->used_count >= limits->full && seen->resident >= limits->full &&
	       UNIT_PAGES - seen->resident <= limits->growth;
}

/* The first of n units that is worth healing; NULL if none is. */
static struct unit *find_broken(struct filler *f, struct filler_zone *z, size_t index, size_t *n,
                                const struct heal_limits *limits, struct kernel_unit *found)
{
	struct kernel_unit seen[SURVEY_UNITS];
	struct unit *u = NULL;
	bool surveyed = !kernel->survey(address_of(z, unit_at(z, index), 0), *n, seen);

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; !u && i < *n && index + i < z->top; i++) {
		struct unit *at = unit_at(z, index + i);

		if (!surveyed)
			seen[i] = as_noted(at);
		else if (at->state == UNIT_PART || at->state == UNIT_WHOLE)
			note_survey(f, at, &seen[i]);
		if (worth_healing(at, &seen[i], limits)) {
			u = at;
			*found = seen[i];
			*n = i + 1;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return u;
}

static void note_healing(struct filler *f, struct unit *u)
{
	bool listed;

	pthread_mutex_lock(&f->lock);
	listed = u->state == UNIT_PART && !u->busy;
	if (listed)
		pack_take_out(&f->pack, u);
	f->demoted_units -= u->demoted;
	u->broken = u->demoted = false;
	if (listed)
		pack_put_in(&f->pack, u);
	pthread_mutex_unlock(&f->lock);
}

/* Make a broken unit huge again. */
static enum heal_result heal_unit(struct filler *f, struct filler_zone *z, struct unit *u)
{
	if (!surgery_collapse(&z->zone, address_of(z, u, 0), u->demoted))
		return HEAL_REFUSED;
	note_healing(f, u);
	return HEAL_DONE;
}

size_t filler_lack(struct filler *f, const void *p)
{
	struct filler_zone *z = filler_zone_of(f, p);
	const struct unit *u = unit_at(z, page_of(z, p) / UNIT_PAGES);
	size_t lack = SIZE_MAX;

	pthread_mutex_lock(&f->lock);
	if (u->demoted && u->state == UNIT_PART && !u->busy)
		lack = UNIT_PAGES - pack_backed(u);
	pthread_mutex_unlock(&f->lock);
	return lack;
}

enum heal_result filler_heal_at(struct filler *f, const void *p, size_t growth)
{
	struct filler_zone *z = filler_zone_of(f, p);
	struct unit *u = unit_at(z, page_of(z, p) / UNIT_PAGES);
	size_t lack = filler_lack(f, p);

	if (lack == SIZE_MAX || lack > growth || !kernel->exclusive(address_of(z, u, 0)))
		return HEAL_NONE;
	return heal_unit(f, z, u);
}

/* Where a walk over all units of all zones stands. */
static struct filler_zone *zone_at(struct filler *f, size_t *index)
{
	for (size_t i = 0; i < at_acquire(&f->zone_count); i++) {
		if (*index < at_get(&f->zones[i].top))
			return &f->zones[i];
		*index -= at_get(&f->zones[i].top);
	}
	return NULL;
}

enum heal_result filler_heal(struct filler *f, struct heal_walk *walk,
                             const struct heal_limits *limits)
{
	for (size_t looked = 0; looked < limits->look_at;) {
		struct kernel_unit seen;
		size_t index = walk->at;
		struct filler_zone *z = zone_at(f, &index);

		if (!z) {
			walk->at = 0;
			walk->rounds++;
			return HEAL_NONE;
		}
		size_t left = at_get(&z->top) - index,
		       n = left < SURVEY_UNITS ? left : SURVEY_UNITS;
		struct unit *u = find_broken(f, z, index, &n, limits, &seen);
		walk->at += n;
		looked += n;
		if (!u)
			continue;
		if (!kernel->exclusive(address_of(z, u, 0))) {
			walk->shared++;
			continue;
		}
		enum heal_result r = heal_unit(f, z, u);
		if (r == HEAL_DONE)
			walk->grown += UNIT_PAGES - seen.resident;
		return r;
	}
	return HEAL_NONE;
}
