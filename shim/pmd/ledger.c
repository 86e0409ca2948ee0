#include "pmd/ledger.h"

#include <errno.h>
#include <sched.h>

#include "kernel/kernel.h"
#include "kernel/say.h"
#include "pmd/demand.h"
#include "pmd/ledger_word.h"
#include "report/stats.h"

int ledger_open(struct ledger *l, const struct zone_policy *policy, void *hint, size_t bytes,
                size_t least, size_t align)
{
	if (zone_open(&l->zone, policy, hint, bytes, least, align))
		return ENOMEM;
	if (prefix_reserve(&l->words, NULL, l->zone.units * sizeof(uint64_t), machine.page))
		goto no_words;
	if (prefix_reserve(&l->backed, NULL, l->zone.units * sizeof(uint32_t), machine.page))
		goto no_backed;
	if (ranks_open(&l->ranks, l->zone.units))
		goto no_ranks;
	zone_join(&l->zone);
	return 0;

no_ranks:
	prefix_release(&l->backed);
no_backed:
	prefix_release(&l->words);
no_words:
	prefix_release(&l->zone.data);
	return ENOMEM;
}

uint64_t ledger_wait(const uint64_t *word)
{
	uint64_t begin = kernel->now(), w;

	while ((w = at_acquire(word)) & LEDGER_BUSY)
		sched_yield();
	stats_raise(&stats.longest_pause_ns, kernel->now() - begin);
	return w;
}

/* The used bits of slices [from, to) that lie in `unit`. */
static uint64_t slices_in_unit(size_t unit, size_t from, size_t to)
{
	size_t start = unit * 32, low = from > start ? from - start : 0;
	size_t high = to < start + 32 ? to - start : 32;

	return (LEDGER_USED >> (32 - (high - low))) << low;
}

static void account(uint64_t old, uint64_t next)
{
	int change =
		__builtin_popcountll(next & LEDGER_USED) - __builtin_popcountll(old & LEDGER_USED);

	if (change > 0)
		stat_add(small_used, (uint64_t)change << slice_shift());
	else if (change < 0)
		stat_sub(small_used, (uint64_t)-change << slice_shift());
}

static void take_in_unit(struct ledger *l, size_t unit, uint64_t mask)
{
	uint64_t *word = word_of(l, unit);
	uint64_t w, next;

	do {
		w = load_settled(word);
		next = w | mask | LEDGER_DIRTY;
	} while (!at_cas(word, &w, next));

	if (w & LEDGER_DEMOTED)
		__atomic_fetch_or(backed_of(l, unit), (uint32_t)mask, __ATOMIC_RELAXED);
	account(w, next);
	if (!(w & LEDGER_USED))
		demand_rise(1);
	if (is_kept(w))
		at_sub(&l->kept, 1);
	ranks_tell(&l->ranks, unit);
}

static void give_in_unit(struct ledger *l, size_t unit, uint64_t mask)
{
	uint64_t *word = word_of(l, unit);
	uint64_t w, next;

	do {
		w = load_settled(word);
		next = w & ~mask;
	} while (!at_cas(word, &w, next));

	account(w, next);
	if ((w & LEDGER_USED) && !(next & LEDGER_USED)) {
		demand_fall(1);
		at_add(&l->kept, 1);
	}
	ranks_tell(&l->ranks, unit);
}

int ledger_take(struct ledger *l, const void *addr, size_t bytes)
{
	size_t offset = (size_t)((const char *)addr - l->zone.data.base);
	size_t slice = 1ul << slice_shift();
	size_t from = offset >> slice_shift(), to = (offset + bytes + slice - 1) >> slice_shift();
	size_t first = from / 32, end = (to + 31) / 32;

	if (prefix_need(&l->words, end * sizeof(uint64_t)) ||
	    prefix_need(&l->backed, end * sizeof(uint32_t)) || ranks_need(&l->ranks, end) ||
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

/* ---- ranks ---- */

static unsigned rank_of(const struct ledger *l, size_t unit)
{
	uint64_t w = at_acquire(word_of(l, unit));

	if (w & LEDGER_BUSY)
		return RANK_NONE; /* told of again when it is settled */
	if (is_kept(w))
		return RANK_KEPT;
	if (w & LEDGER_PINNED)
		return RANK_PINNED;
	return (unsigned)__builtin_popcount(slack_slices(l, unit, w));
}

static void note_rank(void *ledger, size_t unit)
{
	struct ledger *l = ledger;

	ranks_note(&l->ranks, unit, rank_of(l, unit));
}

void ledger_lock(struct ledger *l)
{
	pthread_mutex_lock(&l->ranks.lock);
	if (at_acquire(&l->top))
		ranks_each_unseen(&l->ranks, note_rank, l);
}

static bool ranks_hold(const struct ledger *l)
{
	size_t top = at_acquire(&l->top);

	for (size_t unit = 0; unit < top; unit++)
		if (ranks_of(&l->ranks, unit) != rank_of(l, unit))
			return false;
	return !top || ranks_consistent(&l->ranks, top);
}

bool ledger_consistent(struct ledger *l)
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
	ledger_lock(l);
	bool hold = ranks_hold(l);
	ledger_unlock(l);
	return hold && kept == ledger_kept(l) && at_acquire(&l->top) <= l->zone.units;
}
