#include "release/release.h"

#include <sched.h>

#include "kernel/kernel.h"
#include "options.h"
#include "pmd/demand.h"
#include "pmd/zone.h"
#include "release/bound.h"
#include "release/healing.h"
#include "release/keeper.h"
#include "release/retain.h"
#include "report/stats.h"
#include "site/plan.h"

#define MS 1000000ull

struct release_scope release_scope;

/* Below this the keeper is not started: it is not worth a thread. */
#define WORTH_A_THREAD (32ul << 20)

static bool working;         /* the worker's token */
static bool wants_keeper;    /* see release_wants_keeper() */
static bool fork_happened;   /* since somebody worked */
static bool under_pressure;  /* memory was short when the keeper last looked */
static size_t filled_from;   /* pages used when demoted units were last looked through */
static uint64_t surveyed_at; /* units held when the whole was last looked at */

/* When the process forked, ns, and when next to look what the child broke; 0 if it did not fork of
 * late. */
static uint64_t forked_at, look_at;

void release_init(const struct release_scope *s)
{
	release_scope = *s;
	retain_reset();
	bound_reset();
	healing_reset();
	surveyed_at = filled_from = 0;
}

/* ---- the token ---- */

static bool try_work(void)
{
	return !__atomic_test_and_set(&working, __ATOMIC_ACQUIRE);
}

static void wait_to_work(void)
{
	while (!try_work())
		sched_yield();
}

static void end_work(void)
{
	__atomic_clear(&working, __ATOMIC_RELEASE);
}

/* ---- sums ---- */

size_t release_kept_units(void)
{
	size_t sum = 0;

	each_filler(f)
		sum += filler_kept(f);
	each_ledger(l)
		sum += ledger_kept(l);
	return sum;
}

size_t release_slack_pages(void)
{
	size_t sum = 0;

	each_filler(f)
		if (bound_may_demote(f))
			sum += filler_slack(f);
	each_ledger(l)
		sum += ledger_slack(l);
	return sum;
}

size_t release_used_pages(void)
{
	return (stat_get(small_used) + stat_get(large_used)) >> machine.grain_shift;
}

static uint64_t delay_ns(void)
{
	return options.release == RELEASE_TIGHT ? 0 : options.delay * MS;
}

/* ---- what there is to do ---- */

static size_t return_units(size_t most)
{
	size_t done = 0;

	each_filler(f)
		if (done < most)
			done += filler_return(f, most - done);
	each_ledger(l)
		if (done < most)
			done += ledger_return(l, most - done);
	return done;
}

/* Where a rule says `tight` though the options do not: nothing waits there. */
static size_t tighten(size_t units)
{
	size_t done = 0;

	if (options.release == RELEASE_TIGHT)
		return 0;
	each_filler(f)
		if (f->policy.release == RELEASE_AS_TIGHT && done < units)
			done += filler_return(f, units - done);
	return done + bound_tighten(units - done);
}

/* Kept units that recent demand does not justify. */
static size_t surplus(uint64_t now, bool pressure)
{
	size_t kept = release_kept_units(), want;

	retain_advance(now, delay_ns());
	want = pressure ? 0 : retain_want();
	return kept > want ? kept - want : 0;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How much memory may grow by healing: not beyond what is tolerated for ever, or it would be
 * demoted again; and not at all while memory is short. */
static size_t room_to_heal(bool pressure)
{
	size_t most = bound_tolerated(), slack = bound_slack();

	if (most == SIZE_MAX)
		return SIZE_MAX;
	return !pressure && most > slack ? most - slack : 0;
}

/* ---- from slow paths ---- */

/* A growing heap is looked at whenever it has doubled: were its huge faults met? */
static bool grew_broken(void)
{
	uint64_t held = demand_now();

	if (held < 2 * at_get(&surveyed_at) || held << machine.unit_shift < WORTH_A_THREAD)
		return false;
	at_set(&surveyed_at, held);
	return true;
}

static size_t demoted_units(void)
{
	size_t sum = 0;

	each_filler(f)
		sum += at_get(&f->demoted_units);
	each_ledger(l)
		sum += at_get(&l->demoted);
	return sum;
}

/* Pages by which use must grow before demoted units are looked after. */
#define GROWTH (8ul << 20 >> machine.grain_shift)

/* Demoted units may have filled again: whenever so much more is used, they are looked through. */
static bool demoted_filled(void)
{
	size_t used = release_used_pages(), from = at_get(&filled_from);

	if (used < from)
		at_set(&filled_from, used);
	if (used < from + GROWTH || !demoted_units())
		return false;
	at_set(&filled_from, used);
	return true;
}

/* While a child shares units, writing to them breaks them, and nobody says when that ends: look
 * again and again, and less often the longer it lasts.  Not at once: a program that forks to save
 * its data is busy enough then, and one that forks again soon would be healed for nothing. */
static bool fork_breaks(uint64_t now)
{
	const uint64_t soonest = 2000 * MS, latest = 5000 * MS, last = 600 * 1000 * MS;

	if (at_swap(&fork_happened, false)) {
		forked_at = now;
		look_at = now + soonest;
	}
	if (!forked_at || now < look_at)
		return false;
	uint64_t pause = (now - forked_at) / 4;
	look_at = now + (pause < soonest ? soonest : pause > latest ? latest : pause);
	if (now - forked_at > last)
		forked_at = 0;
	return true;
}

static bool worth_a_thread(size_t kept)
{
	if (kept << machine.unit_shift >= WORTH_A_THREAD || at_get(&fork_happened))
		return true;
	size_t slack = bound_slack(), bound = bound_pages(false);
	return slack > bound && slack << machine.grain_shift >= WORTH_A_THREAD;
}

/* Without a keeper the callers do the work, a little at a time. */
static void work_in_caller(uint64_t now)
{
	size_t n = surplus(now, false);

	tighten(1);
	if (n)
		return_units(smaller(n, RELEASE_BATCH));
	else if (!keeper_possible()) {
		size_t excess = bound_excess(now, delay_ns(), false);

		if (excess)
			bound_demote(excess, 1);
		/* One collapse, as a rule. */
		healing_step(now, room_to_heal(false), MS / 2);
	}
}

static void note_pause(uint64_t begin)
{
	uint64_t took = kernel->now() - begin;

	stat_add(release_ns, took);
	stats_raise(&stats.longest_pause_ns, took);
}

/* Whether much more memory is held than when this was last true. */
static bool grew_much(void)
{
	enum { MUCH = 8 }; /* units */
	static size_t held_then;
	size_t held = demand_now() + release_kept_units(), then = at_get(&held_then);

	if (held >= then && held < then + MUCH)
		return false;
	at_set(&held_then, held);
	return held > then;
}

/* A growing program may come to its cgroup's limit faster than the keeper looks: then it waits for
 * what can be given back, rather than be killed. */
static void heed_limit(uint64_t now)
{
	enum { MOST = 64 }; /* units demoted: 30 ms */

	if (!kernel->near_limit())
		return;
	return_units(SIZE_MAX);
	size_t excess = bound_excess(now, 0, true);
	if (excess)
		bound_demote(excess, MOST);
}

void release_tick(void)
{
	enum { EVERY = 16 };
	static unsigned calls;
	unsigned count = at_get(&calls) + 1;

	at_set(&calls, count);
	if (count % EVERY)
		return;
	bool grew = grew_much();
	if ((keeper_running() && !grew) || !try_work())
		return;
	uint64_t begin = kernel->now();
	if (grew)
		heed_limit(begin);
	if (grew_broken() || demoted_filled() || (!keeper_possible() && fork_breaks(begin)))
		healing_ask();
	if (keeper_possible() && (healing_pending() || worth_a_thread(release_kept_units())))
		at_set(&wants_keeper, true);
	if (!keeper_running())
		work_in_caller(begin);
	end_work();
	note_pause(begin);
}

/* Whether more is needed again since memory was given back from inside units: not every place that
 * is found in a demoted unit makes it worth healing. */
static bool needs_more(void)
{
	return release_used_pages() >= bound_demoted_at() + GROWTH;
}

void release_filling(struct filler *f, const void *p)
{
	if (!at_get(&f->demoted_units) || !needs_more() || filler_lack(f, p) == SIZE_MAX ||
	    !try_work())
		return;
	uint64_t begin = kernel->now();
	healing_fill(f, p, room_to_heal(at_get(&under_pressure)), begin);
	end_work();
	note_pause(begin);
}

void release_filling_small(struct ledger *l, const void *p)
{
	if (!at_get(&l->demoted) || !needs_more() || ledger_lack(l, p) == SIZE_MAX || !try_work())
		return;
	uint64_t begin = kernel->now();
	healing_fill_small(l, p, room_to_heal(at_get(&under_pressure)), begin);
	end_work();
	note_pause(begin);
}

bool release_wants_keeper(void)
{
	return at_get(&wants_keeper);
}

/* ---- from the keeper ---- */

enum {
	STEP_UNITS = 64,  /* whole units returned in one step */
	STEP_DEMOTED = 8, /* units demoted in one step: 0.5 ms each */
};

/* Of healing in one step. */
#define PORTION (5 * MS)

/* Work that is due at once; true if there is more of it. */
static bool give_back(uint64_t now, bool pressure)
{
	size_t n = surplus(now, pressure);

	if (tighten(STEP_DEMOTED) == STEP_DEMOTED)
		return true;
	if (n && return_units(smaller(n, STEP_UNITS)) == STEP_UNITS)
		return true;
	size_t excess = bound_excess(now, delay_ns(), pressure);
	return excess && bound_demote(excess, STEP_DEMOTED) > 0;
}

/* Whether time alone will make something due. */
static bool something_to_wait_for(void)
{
	return release_kept_units() > 0 || bound_slack() > bound_tolerated() || bound_refused() ||
	       (forked_at && options.heal);
}

uint64_t release_step(uint64_t now)
{
	bool pressure = kernel->pressure();
	uint64_t tick = delay_ns() / 8 > 10 * MS ? delay_ns() / 8 : 10 * MS;

	at_set(&wants_keeper, false);
	at_set(&under_pressure, pressure);
	if (!try_work())
		return MS;
	if (fork_breaks(now) || grew_broken() || demoted_filled())
		healing_ask();
	bool more = give_back(now, pressure);
	uint64_t wait = more ? 0 : healing_step(kernel->now(), room_to_heal(pressure), PORTION);
	if (wait > tick && something_to_wait_for())
		wait = tick;
	end_work();
	stat_add(release_ns, kernel->now() - now);
	return wait;
}

/* ---- at once ---- */

size_t release_all(void)
{
	wait_to_work();
	size_t n = return_units(SIZE_MAX);
	end_work();
	return n;
}

size_t release_everything(void)
{
	wait_to_work();
	size_t bytes = return_units(SIZE_MAX) << machine.unit_shift;
	bytes += bound_demote(SIZE_MAX, SIZE_MAX) << machine.grain_shift;
	end_work();
	return bytes;
}

size_t release_demote(size_t bytes)
{
	size_t pages = bytes / machine.grain + (bytes % machine.grain != 0);

	wait_to_work();
	size_t given = bound_demote_all(pages, SIZE_MAX);
	end_work();
	return given << machine.grain_shift;
}

bool release_heal(struct release_healing *h)
{
	struct heal_limits limits = {PACK_DENSE_PAGES, room_to_heal(kernel->pressure()), SIZE_MAX};
	bool over;

	if (!zones_want_huge() || h->part >= healing_stages())
		return false;
	wait_to_work();
	enum heal_result r = healing_look(h->part, &h->walk, &limits, &over);
	end_work();
	h->healed += r == HEAL_DONE;
	if (over) {
		h->walk = (struct heal_walk){0};
		h->part++;
	}
	return h->part < healing_stages();
}

bool release_change(bool (*change)(void *), void *what)
{
	wait_to_work();
	bool done = change(what);
	end_work();
	if (done && keeper_possible())
		at_set(&wants_keeper, true);
	return done;
}

/* ---- fork ---- */

void release_note_fork(void)
{
	if (demand_now() << machine.unit_shift < WORTH_A_THREAD)
		return;
	at_set(&fork_happened, true);
	if (keeper_possible())
		at_set(&wants_keeper, true);
}

void release_after_fork(void)
{
	fork_happened = false;
	forked_at = 0;
	healing_reset();
	bound_reset();
	keeper_after_fork();
	wants_keeper = keeper_has_duty() && keeper_possible();
}
