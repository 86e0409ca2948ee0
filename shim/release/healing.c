#include "release/healing.h"

#include <string.h>

#include "kernel/kernel.h"
#include "options.h"
#include "pmd/heal.h"
#include "pmd/zone.h"
#include "release/release.h"

#define MS 1000000ull

_Static_assert(RELEASE_FILLERS == (int)RELEASE_LEDGERS, "loops over walks go over both");

enum {
	FULL_ENOUGH = PACK_DENSE_PAGES,
	LOOK_AT = 1024, /* units, between two looks at the clock */
};

/* Temeraire's rule: a collapse that takes long means that memory is short of huge pages; each one
 * doubles the pause, each quick one halves it. */
#define SLOW_NS      (30 * MS)
#define QUICK_NS     (15 * MS)
#define LONGEST_WAIT (4000 * MS)
/* Budget that is not used is saved up, for so long: when demand returns all at once, all that was
 * demoted wants to be healed at once.  After each portion the thread sleeps for three times as
 * long: it is spent no faster than a quarter of a core.  Half a core was felt by a redis whose
 * clients did not rest when its child had saved. */
#define SAVE_FOR (30 * 1000 * MS)
enum { REST = 3 };
/* When units could not be healed yet, because a child shares them or memory is short, look again
 * after this. */
#define LOOK_AGAIN (500 * MS)

static struct {
	struct heal_walk large[RELEASE_FILLERS], small[RELEASE_LEDGERS];
	size_t stage;     /* which one the walk is in: the ledgers, and then the fillers */
	bool pending;     /* the walk is not at its end, or must start again */
	bool asked;       /* during a round: another must follow */
	bool again;       /* units were refused in this round */
	uint64_t last;    /* when the budget was last counted up, ns */
	int64_t saved;    /* budget, ns; below 0 after a long collapse */
	uint64_t backoff; /* ns */
	uint64_t not_before;
} healing;

void healing_reset(void)
{
	memset(&healing, 0, sizeof(healing));
}

void healing_ask(void)
{
	healing.pending = healing.asked = true;
}

bool healing_pending(void)
{
	return healing.pending && options.heal > 0 && zones_want_huge();
}

/* Units that were passed over in this round. */
static bool any_shared(void)
{
	size_t sum = 0;

	for (size_t i = 0; i < RELEASE_FILLERS; i++) {
		sum += healing.large[i].shared + healing.small[i].shared;
		healing.large[i].shared = healing.small[i].shared = 0;
	}
	return sum > 0;
}

static void end_round(void)
{
	healing.again |= any_shared();
	healing.stage = 0;
	healing.pending = healing.again || healing.asked;
	if (healing.again && !healing.asked)
		healing.not_before = healing.last + LOOK_AGAIN;
	healing.again = healing.asked = false;
}

static bool may_heal(const struct filler *f)
{
	return f->policy.heal && zone_wants_huge(&f->policy.zone);
}

size_t healing_stages(void)
{
	return at_acquire(release_scope.ledger_count) + at_acquire(release_scope.filler_count);
}

enum heal_result healing_look(size_t stage, struct heal_walk *walk,
                              const struct heal_limits *limits, bool *over)
{
	size_t ledgers = at_acquire(release_scope.ledger_count), rounds = walk->rounds;
	enum heal_result r = HEAL_NONE;

	*over = true;
	if (stage < ledgers && zone_wants_huge(&release_scope.ledgers[stage].zone.policy))
		r = ledger_heal(&release_scope.ledgers[stage], walk, limits);
	else if (stage >= ledgers && may_heal(&release_scope.fillers[stage - ledgers]))
		r = filler_heal(&release_scope.fillers[stage - ledgers], walk, limits);
	else
		return r;
	*over = walk->rounds != rounds;
	return r;
}

static struct heal_walk *walk_of(size_t stage)
{
	size_t ledgers = at_acquire(release_scope.ledger_count);

	return stage < ledgers ? &healing.small[stage] : &healing.large[stage - ledgers];
}

static enum heal_result heal_one(const struct heal_limits *limits)
{
	bool over;

	while (healing.stage < healing_stages()) {
		enum heal_result r =
			healing_look(healing.stage, walk_of(healing.stage), limits, &over);

		if (r != HEAL_NONE || !over)
			return r;
		healing.stage++;
	}
	end_round();
	return HEAL_NONE;
}

static void count_up(uint64_t now)
{
	int64_t most = (int64_t)(SAVE_FOR / 100 * options.heal);

	if (!healing.last)
		healing.saved = most;
	else if (now > healing.last)
		healing.saved += (int64_t)((now - healing.last) / 100 * options.heal);
	if (healing.saved > most)
		healing.saved = most;
	healing.last = now;
}

static void learn(uint64_t took, uint64_t processor_time, enum heal_result result, uint64_t now)
{
	healing.saved -= (int64_t)processor_time;
	if (took > SLOW_NS || result == HEAL_REFUSED)
		healing.backoff = healing.backoff ? healing.backoff * 2 : MS;
	else if (took < QUICK_NS)
		healing.backoff /= 2;
	if (healing.backoff > LONGEST_WAIT)
		healing.backoff = LONGEST_WAIT;
	if (result == HEAL_REFUSED) {
		healing.again = true;
		healing.not_before = now + healing.backoff;
	}
}

/* Whether a caller may spend some of the budget. */
static bool may_spend(uint64_t now)
{
	count_up(now);
	return options.heal > 0 && zones_want_huge() && now >= healing.not_before &&
	       healing.saved > 0;
}

/* What was just done for a caller took time, too. */
static void account(enum heal_result r, uint64_t begin, uint64_t used)
{
	uint64_t end = kernel->now();

	if (r != HEAL_NONE)
		learn(end - begin, kernel->processor_time() - used, r, end);
}

void healing_fill(struct filler *f, const void *p, size_t growth, uint64_t now)
{
	if (!may_heal(f) || !may_spend(now))
		return;
	uint64_t used = kernel->processor_time();
	account(filler_heal_at(f, p, growth), now, used);
}

void healing_fill_small(struct ledger *l, const void *p, size_t growth, uint64_t now)
{
	if (!zone_wants_huge(&l->zone.policy) || !may_spend(now))
		return;
	uint64_t used = kernel->processor_time();
	account(ledger_heal_at(l, p, growth), now, used);
}

/* How long until there is budget again. */
static uint64_t wait_for_budget(void)
{
	return healing.saved > 0 ? 0 : (uint64_t)-healing.saved / options.heal * 100 + MS;
}

/* Pages by which memory grew through healing. */
static size_t grown(void)
{
	size_t sum = 0;

	for (size_t i = 0; i < RELEASE_FILLERS; i++)
		sum += healing.large[i].grown + healing.small[i].grown;
	return sum;
}

uint64_t healing_step(uint64_t now, size_t growth, uint64_t portion)
{
	uint64_t spent = 0;
	size_t most = grown() + growth < growth ? SIZE_MAX : grown() + growth;

	count_up(now);
	while (healing_pending() && now >= healing.not_before && healing.saved > 0 &&
	       spent < portion) {
		struct heal_limits limits = {FULL_ENOUGH, most - grown(), LOOK_AT};
		uint64_t used = kernel->processor_time();
		enum heal_result r = heal_one(&limits);
		uint64_t end = kernel->now();

		learn(end - now, kernel->processor_time() - used, r, end);
		spent += end - now;
		now = end;
	}
	if (!healing_pending())
		return UINT64_MAX;
	uint64_t wait = wait_for_budget() > REST * spent ? wait_for_budget() : REST * spent;
	return healing.not_before > now + wait ? healing.not_before - now : wait;
}
