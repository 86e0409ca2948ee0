#include "pmd/bits.h"
#include "pmd/ledger.h"
#include "pmd/ledger_word.h"
#include "pmd/surgery.h"
#include "report/stats.h"

/* ---- whole returns ---- */

/* So many units at most are BUSY at once: whoever wants one of them waits for all (K8). */
enum { RETURN_AT_ONCE = 64 };

/* Mark a kept unit BUSY; false if it is not kept (any more). */
static bool claim(struct ledger *l, size_t unit)
{
	uint64_t w = at_acquire(word_of(l, unit));
	bool claimed =
		is_kept(w) && !(w & LEDGER_BUSY) && at_cas(word_of(l, unit), &w, w | LEDGER_BUSY);

	/* Whatever it is now, it is not to be found as kept again. */
	ranks_tell(&l->ranks, unit);
	return claimed;
}

static bool any_demoted(const struct ledger *l, size_t unit, size_t end)
{
	for (; unit < end; unit++)
		if (at_get(word_of(l, unit)) & LEDGER_DEMOTED)
			return true;
	return false;
}

static void unclaim(struct ledger *l, size_t unit, size_t end)
{
	for (; unit < end; unit++) {
		at_publish(word_of(l, unit), at_get(word_of(l, unit)) & ~LEDGER_BUSY);
		ranks_tell(&l->ranks, unit);
	}
}

static void forget(struct ledger *l, size_t unit, size_t end)
{
	for (; unit < end; unit++) {
		if (at_get(word_of(l, unit)) & LEDGER_DEMOTED)
			at_sub(&l->demoted, 1);
		at_publish(word_of(l, unit), 0);
	}
}

/* Return the claimed units [unit, end).  A unit refaults huge only if ONE call covers it (K2). */
static bool return_units(struct ledger *l, size_t unit, size_t end)
{
	size_t bytes = (end - unit) << machine.unit_shift;

	if (zone_return(&l->zone, unit_address(l, unit), bytes, any_demoted(l, unit, end))) {
		unclaim(l, unit, end);
		stat_add(return_failures, 1);
		return false;
	}
	at_sub(&l->kept, end - unit);
	forget(l, unit, end);
	stat_add(returned_units, end - unit);
	stat_add(return_calls, 1);
	return true;
}

/* The unit behind the last kept one; 0 if none is kept. */
static size_t end_of_kept(struct ledger *l)
{
	size_t end = 0;

	ledger_lock(l);
	if (l->ranks.count[RANK_KEPT])
		end = ranks_last(&l->ranks, RANK_KEPT) + 1;
	ledger_unlock(l);
	return end;
}

size_t ledger_return(struct ledger *l, size_t most)
{
	size_t done = 0, end;

	/* From the top down: mimalloc fills segments from the bottom. */
	while (done < most && (end = end_of_kept(l))) {
		size_t unit = end;
		size_t room = most - done < RETURN_AT_ONCE ? most - done : RETURN_AT_ONCE;

		while (unit > 0 && end - unit < room && claim(l, unit - 1))
			unit--;
		if (unit < end && !return_units(l, unit, end))
			break;
		done += end - unit;
	}
	return done;
}

/* ---- demotion ---- */

enum { SLICE_PAGES = UNIT_PAGES / 32 };

size_t ledger_slack(struct ledger *l)
{
	ledger_lock(l);
	size_t slack = l->ranks.slack;
	ledger_unlock(l);
	return slack * SLICE_PAGES;
}

size_t ledger_worst_slack(struct ledger *l)
{
	ledger_lock(l);
	size_t worst = ranks_worst(&l->ranks);
	ledger_unlock(l);
	return worst * SLICE_PAGES;
}

static struct bits pages_of(uint32_t slices)
{
	struct bits pages = {{0}};

	for (unsigned i = 0; i < 32; i++)
		if (slices >> i & 1)
			bits_set(&pages, i * SLICE_PAGES, SLICE_PAGES);
	return pages;
}

static uint32_t slices_of(const struct bits *pages)
{
	uint32_t slices = 0;

	for (unsigned i = 0; i < 32; i++)
		if (bits_any(pages, i * SLICE_PAGES, 1))
			slices |= 1u << i;
	return slices;
}

/* Split a unit that is BUSY, and give back its free slices.  Yields the word to leave behind. */
static uint64_t demote_busy(struct ledger *l, size_t unit, uint64_t w, size_t *given)
{
	char *p = unit_address(l, unit);

	if (!(w & LEDGER_DEMOTED) || !surgery_is_split(p)) {
		if (!surgery_split(&l->zone, p))
			return w | LEDGER_PINNED;
		at_set(backed_of(l, unit), UINT32_MAX);
		if (!(w & LEDGER_DEMOTED))
			at_add(&l->demoted, 1);
	}
	w |= LEDGER_DEMOTED;
	/* Only now: a unit that was split once more, because the kernel does not say that it is
	 * split (before 6.7), counts as backed all over, and would have slack again and again. */
	struct bits pages = pages_of(slack_slices(l, unit, w));
	if (!surgery_give_pages(p, &pages))
		return w | LEDGER_PINNED;
	__atomic_fetch_and(backed_of(l, unit), ~slices_of(&pages), __ATOMIC_RELAXED);
	*given += bits_count(&pages);
	return w;
}

static void demote(struct ledger *l, size_t unit, int least, size_t *given)
{
	uint64_t *word = word_of(l, unit), w = at_acquire(word);

	if (w & LEDGER_BUSY || __builtin_popcount(slack_slices(l, unit, w)) < least)
		return;
	/* Pass over a unit that there is no VMA for, so that others get their turn. */
	if (!(w & LEDGER_DEMOTED) && at_get(&l->demoted) >= SURGERY_MOST_DEMOTED)
		at_cas(word, &w, w | LEDGER_PINNED);
	else if (at_cas(word, &w, w | LEDGER_BUSY))
		at_publish(word, demote_busy(l, unit, w, given));
}

/* Find a unit with the most slack, if that is at least `least` slices.  Nobody else finds it until
 * it is told of. */
static bool pick_worst(struct ledger *l, unsigned least, size_t *unit)
{
	ledger_lock(l);
	unsigned worst = ranks_worst(&l->ranks);
	bool any = worst >= least;
	if (any) {
		*unit = ranks_last(&l->ranks, worst);
		ranks_note(&l->ranks, *unit, RANK_NONE);
	}
	ledger_unlock(l);
	return any;
}

size_t ledger_demote(struct ledger *l, unsigned least, size_t most)
{
	size_t given = 0, unit;

	/* A slack of less than a slice is not to be had here. */
	least = least < SLICE_PAGES ? 1 : (least + SLICE_PAGES - 1) / SLICE_PAGES;
	while (given < most && pick_worst(l, least, &unit)) {
		demote(l, unit, (int)least, &given);
		ranks_tell(&l->ranks, unit);
	}
	return given;
}

static size_t pinned_unit(struct ledger *l)
{
	size_t unit = SIZE_MAX;

	ledger_lock(l);
	if (l->ranks.count[RANK_PINNED]) {
		unit = ranks_last(&l->ranks, RANK_PINNED);
		ranks_note(&l->ranks, unit, RANK_NONE);
	}
	ledger_unlock(l);
	return unit;
}

void ledger_unpin(struct ledger *l)
{
	for (size_t unit; (unit = pinned_unit(l)) != SIZE_MAX;) {
		__atomic_fetch_and(word_of(l, unit), ~LEDGER_PINNED, __ATOMIC_RELAXED);
		ranks_tell(&l->ranks, unit);
	}
}

/* ---- healing ---- */

enum { SURVEY_UNITS = 64 };

/* Where mimalloc fills its units is not ours to steer, as it is in the filler: a sparse one may
 * stay as it is.  So half as full is enough here, as long as memory may grow by the rest. */
static bool worth_healing(uint64_t w, const struct kernel_unit *seen,
                          const struct heal_limits *limits)
{
	unsigned used = (unsigned)__builtin_popcountll(w & LEDGER_USED) * SLICE_PAGES;
	unsigned full = limits->full / 2;

	return !(w & LEDGER_BUSY) && !seen->huge && used >= full && seen->resident >= full &&
	       UNIT_PAGES - seen->resident <= limits->growth;
}

/* As in giveback.c: all that is known before Linux 6.7. */
static struct kernel_unit as_noted(const struct ledger *l, size_t unit)
{
	bool demoted = at_get(word_of(l, unit)) & LEDGER_DEMOTED;
	uint32_t backed = demoted ? at_get(backed_of(l, unit)) : UINT32_MAX;

	return (struct kernel_unit){
		.resident = (unsigned)__builtin_popcount(backed) * SLICE_PAGES,
		.huge = !demoted,
	};
}

/* The first of n units that is worth healing; n if none is. */
static size_t find_broken(struct ledger *l, size_t unit, size_t n, const struct heal_limits *limits,
                          struct kernel_unit *seen)
{
	size_t i = 0;

	if (kernel->survey(unit_address(l, unit), n, seen))
		for (size_t k = 0; k < n; k++)
			seen[k] = as_noted(l, unit + k);
	while (i < n && !worth_healing(at_acquire(word_of(l, unit + i)), &seen[i], limits))
		i++;
	return i;
}

static enum heal_result heal_unit(struct ledger *l, size_t unit)
{
	bool demoted = at_get(word_of(l, unit)) & LEDGER_DEMOTED;

	if (!surgery_collapse(&l->zone, unit_address(l, unit), demoted))
		return HEAL_REFUSED;
	if (demoted) {
		__atomic_fetch_and(word_of(l, unit), ~LEDGER_DEMOTED, __ATOMIC_ACQ_REL);
		ranks_tell(&l->ranks, unit);
		at_sub(&l->demoted, 1);
	}
	return HEAL_DONE;
}

static size_t unit_of(const struct ledger *l, const void *p)
{
	return (size_t)((const char *)p - l->zone.data.base) >> machine.unit_shift;
}

size_t ledger_lack(const struct ledger *l, const void *p)
{
	size_t unit = unit_of(l, p);
	uint64_t w = at_acquire(word_of(l, unit));

	return w & LEDGER_DEMOTED && !(w & LEDGER_BUSY) ? UNIT_PAGES - as_noted(l, unit).resident
	                                                : SIZE_MAX;
}

enum heal_result ledger_heal_at(struct ledger *l, const void *p, size_t growth)
{
	size_t unit = unit_of(l, p), lack = ledger_lack(l, p);

	if (lack == SIZE_MAX || lack > growth || !kernel->exclusive(unit_address(l, unit)))
		return HEAL_NONE;
	return heal_unit(l, unit);
}

enum heal_result ledger_heal(struct ledger *l, struct heal_walk *walk,
                             const struct heal_limits *limits)
{
	for (size_t looked = 0; looked < limits->look_at;) {
		struct kernel_unit seen[SURVEY_UNITS];
		size_t unit = walk->at, top = at_acquire(&l->top);

		if (unit >= top) {
			walk->at = 0;
			walk->rounds++;
			return HEAL_NONE;
		}
		size_t n = top - unit < SURVEY_UNITS ? top - unit : SURVEY_UNITS;
		size_t found = find_broken(l, unit, n, limits, seen);
		looked += n;
		walk->at += found < n ? found + 1 : n;
		if (found == n)
			continue;
		unit += found;
		if (!kernel->exclusive(unit_address(l, unit))) {
			walk->shared++;
			continue;
		}
		enum heal_result r = heal_unit(l, unit);
		if (r == HEAL_DONE)
			walk->grown += UNIT_PAGES - seen[found].resident;
		return r;
	}
	return HEAL_NONE;
}
