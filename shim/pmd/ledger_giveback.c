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

	return is_kept(w) && !(w & LEDGER_BUSY) && at_cas(word_of(l, unit), &w, w | LEDGER_BUSY);
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
	for (; unit < end; unit++)
		at_publish(word_of(l, unit), at_get(word_of(l, unit)) & ~LEDGER_BUSY);
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

size_t ledger_return(struct ledger *l, size_t most)
{
	size_t done = 0;

	/* From the top down: mimalloc fills segments from the bottom. */
	for (size_t end = at_acquire(&l->top); end > 0 && done < most && ledger_kept(l) > 0;) {
		size_t unit = end;
		size_t room = most - done < RETURN_AT_ONCE ? most - done : RETURN_AT_ONCE;

		while (unit > 0 && end - unit < room && claim(l, unit - 1))
			unit--;
		if (unit < end && !return_units(l, unit, end))
			break;
		done += end - unit;
		end = unit < end ? unit : end - 1;
	}
	return done;
}

/* ---- demotion ---- */

static unsigned slack_pages(const struct ledger *l, size_t unit, uint64_t w)
{
	return (unsigned)__builtin_popcount(slack_slices(l, unit, w)) * (UNIT_PAGES / 32);
}

size_t ledger_slack(const struct ledger *l)
{
	size_t slack = 0;

	for (size_t unit = 0; unit < at_acquire(&l->top); unit++)
		slack += slack_pages(l, unit, at_get(word_of(l, unit)));
	return slack;
}

size_t ledger_worst_slack(const struct ledger *l)
{
	size_t worst = 0;

	for (size_t unit = 0; unit < at_acquire(&l->top); unit++) {
		size_t slack = slack_pages(l, unit, at_get(word_of(l, unit)));

		if (slack > worst)
			worst = slack;
	}
	return worst;
}

static struct bits pages_of(uint32_t slices)
{
	struct bits pages = {{0}};

	for (unsigned i = 0; i < 32; i++)
		if (slices >> i & 1)
			bits_set(&pages, i * (UNIT_PAGES / 32), UNIT_PAGES / 32);
	return pages;
}

static uint32_t slices_of(const struct bits *pages)
{
	uint32_t slices = 0;

	for (unsigned i = 0; i < 32; i++)
		if (bits_any(pages, i * (UNIT_PAGES / 32), 1))
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

static void demote(struct ledger *l, size_t unit, unsigned least, size_t *given)
{
	uint64_t *word = word_of(l, unit), w = at_acquire(word);

	if (w & LEDGER_BUSY || slack_pages(l, unit, w) < least)
		return;
	/* Pass over a unit that there is no VMA for, so that others get their turn. */
	if (!(w & LEDGER_DEMOTED) && at_get(&l->demoted) >= SURGERY_MOST_DEMOTED)
		at_cas(word, &w, w | LEDGER_PINNED);
	else if (at_cas(word, &w, w | LEDGER_BUSY))
		at_publish(word, demote_busy(l, unit, w, given));
}

size_t ledger_demote(struct ledger *l, unsigned least, size_t most)
{
	size_t given = 0;

	/* A slack of less than a slice is not to be had here. */
	least = least < UNIT_PAGES / 32 ? UNIT_PAGES / 32 : least;
	for (size_t unit = 0; unit < at_acquire(&l->top) && given < most; unit++)
		demote(l, unit, least, &given);
	return given;
}

void ledger_unpin(struct ledger *l)
{
	for (size_t unit = 0; unit < at_acquire(&l->top); unit++)
		if (at_get(word_of(l, unit)) & LEDGER_PINNED)
			__atomic_fetch_and(word_of(l, unit), ~LEDGER_PINNED, __ATOMIC_RELAXED);
}

/* ---- healing ---- */

enum { SURVEY_UNITS = 64 };

/* Where mimalloc fills its units is not ours to steer, as it is in the filler: a sparse one may
 * stay as it is.  So half as full is enough here, as long as memory may grow by the rest. */
static bool worth_healing(uint64_t w, const struct kernel_unit *seen,
                          const struct heal_limits *limits)
{
	unsigned used = (unsigned)__builtin_popcountll(w & LEDGER_USED) * (UNIT_PAGES / 32);
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
		.resident = (unsigned)__builtin_popcount(backed) * (UNIT_PAGES / 32),
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
		bool demoted = at_get(word_of(l, unit)) & LEDGER_DEMOTED;
		if (!surgery_collapse(&l->zone, unit_address(l, unit), demoted))
			return HEAL_REFUSED;
		if (demoted) {
			__atomic_fetch_and(word_of(l, unit), ~LEDGER_DEMOTED, __ATOMIC_ACQ_REL);
			at_sub(&l->demoted, 1);
		}
		walk->grown += UNIT_PAGES - seen[found].resident;
		return HEAL_DONE;
	}
	return HEAL_NONE;
}
