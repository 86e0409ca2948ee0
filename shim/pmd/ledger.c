#include "pmd/ledger.h"

#include <errno.h>
#include <sched.h>

#include "kernel/kernel.h"
#include "kernel/say.h"
#include "pmd/demand.h"
#include "report/stats.h"

static inline unsigned slice_shift(void)
{
	return machine.unit_shift - 5;
}

static inline uint64_t *word_of(const struct ledger *l, size_t unit)
{
	return (uint64_t *)l->words.base + unit;
}

static inline bool is_kept(uint64_t w)
{
	return !(w & LEDGER_USED) && (w & LEDGER_DIRTY);
}

int ledger_open(struct ledger *l, const char *name, void *hint, size_t bytes, size_t least,
		size_t align)
{
	if (zone_open(&l->zone, name, hint, bytes, least, align))
		return ENOMEM;
	if (prefix_reserve(&l->words, NULL, l->zone.units * sizeof(uint64_t), machine.page)) {
		prefix_release(&l->zone.data);
		return ENOMEM;
	}
	return 0;
}

/* The used bits of slices [from, to) that lie in `unit`. */
static uint64_t slices_in_unit(size_t unit, size_t from, size_t to)
{
	size_t start = unit * 32, low = from > start ? from - start : 0;
	size_t high = to < start + 32 ? to - start : 32;

	return (LEDGER_USED >> (32 - (high - low))) << low;
}

/* Read a word that nobody is returning at the moment. */
static uint64_t load_settled(const uint64_t *word)
{
	uint64_t w = at_acquire(word);

	while (w & LEDGER_BUSY) {
		sched_yield();
		w = at_acquire(word);
	}
	return w;
}

static void account(uint64_t old, uint64_t new)
{
	int change = __builtin_popcountll(new & LEDGER_USED) - __builtin_popcountll(old & LEDGER_USED);

	if (change > 0)
		stat_add(small_used, (uint64_t)change << slice_shift());
	else if (change < 0)
		stat_sub(small_used, (uint64_t)-change << slice_shift());
}

static void take_in_unit(struct ledger *l, size_t unit, uint64_t mask)
{
	uint64_t *word = word_of(l, unit);
	uint64_t w, new;

	do {
		w = load_settled(word);
		new = w | mask | LEDGER_DIRTY;
	} while (!at_cas(word, &w, new));

	account(w, new);
	if (!(w & LEDGER_USED))
		demand_rise(1);
	if (is_kept(w))
		at_sub(&l->kept, 1);
}

static void give_in_unit(struct ledger *l, size_t unit, uint64_t mask)
{
	uint64_t *word = word_of(l, unit);
	uint64_t w, new;

	do {
		w = load_settled(word);
		new = w & ~mask;
	} while (!at_cas(word, &w, new));

	account(w, new);
	if ((w & LEDGER_USED) && !(new & LEDGER_USED)) {
		demand_fall(1);
		at_add(&l->kept, 1);
	}
}

int ledger_take(struct ledger *l, const void *addr, size_t bytes)
{
	size_t offset = (size_t)((const char *)addr - l->zone.data.base);
	size_t slice = 1ul << slice_shift();
	size_t from = offset >> slice_shift(), to = (offset + bytes + slice - 1) >> slice_shift();
	size_t first = from / 32, end = (to + 31) / 32;

	if (prefix_need(&l->words, end * sizeof(uint64_t)) ||
	    prefix_need(&l->zone.data, to << slice_shift()))
		return ENOMEM;
	for (size_t unit = first; unit < end; unit++)
		take_in_unit(l, unit, slices_in_unit(unit, from, to));
	stats_raise(&l->top, end);
	return 0;
}

void ledger_give(struct ledger *l, const void *addr, size_t bytes)
{
	size_t offset = (size_t)((const char *)addr - l->zone.data.base);
	size_t slice = 1ul << slice_shift();
	size_t from = (offset + slice - 1) >> slice_shift(), to = (offset + bytes) >> slice_shift();
	size_t top = at_acquire(&l->top) * 32;

	if (to > top)
		to = top; /* mimalloc frees whole segments, used or not */
	for (size_t unit = from / 32; unit * 32 < to; unit++)
		give_in_unit(l, unit, slices_in_unit(unit, from, to));
}

/* Mark a kept unit BUSY; false if it is not kept (any more). */
static bool claim(struct ledger *l, size_t unit)
{
	uint64_t w = at_acquire(word_of(l, unit));

	return w == LEDGER_DIRTY &&
	       at_cas(word_of(l, unit), &w, LEDGER_DIRTY | LEDGER_BUSY);
}

static void settle(struct ledger *l, size_t unit, size_t end, uint64_t w)
{
	for (; unit < end; unit++)
		at_publish(word_of(l, unit), w);
}

/* Return the claimed units [unit, end).  A unit refaults huge only if ONE call covers it (K2). */
static bool return_units(struct ledger *l, size_t unit, size_t end)
{
	if (kernel->give_back(l->zone.data.base + (unit << machine.unit_shift),
			      (end - unit) << machine.unit_shift)) {
		settle(l, unit, end, LEDGER_DIRTY);
		stat_add(return_failures, 1);
		return false;
	}
	at_sub(&l->kept, end - unit);
	settle(l, unit, end, 0);
	stat_add(returned_units, end - unit);
	stat_add(return_calls, 1);
	return true;
}

size_t ledger_return(struct ledger *l, size_t most)
{
	size_t top = at_acquire(&l->top), done = 0;

	/* From the top down: mimalloc fills segments from the bottom. */
	for (size_t end = top; end > 0 && done < most && ledger_kept(l) > 0; end--) {
		size_t unit = end;

		while (unit > 0 && done + (end - unit) < most && claim(l, unit - 1))
			unit--;
		if (unit == end)
			continue;
		if (!return_units(l, unit, end))
			break;
		done += end - unit;
		end = unit + 1;
	}
	return done;
}

bool ledger_consistent(const struct ledger *l)
{
	size_t kept = 0;

	for (size_t unit = 0; unit < at_acquire(&l->top); unit++) {
		uint64_t w = at_acquire(word_of(l, unit));

		if (w & LEDGER_BUSY)
			return false;
		if ((w & LEDGER_USED) && !(w & LEDGER_DIRTY))
			return false;
		kept += is_kept(w);
	}
	return kept == ledger_kept(l) && at_acquire(&l->top) <= l->zone.units;
}
