#include "release/bound.h"

#include <string.h>

#include "kernel/kernel.h"
#include "options.h"
#include "release/release.h"
#include "report/stats.h"
#include "site/plan.h"

/* A program that uses little may still hold this much slack. */
#define BOUND_LEAST (32ul << 20)

/* Less slack than the bound is tolerated too, but not for ever: half of it four times as long. */
enum { LEVELS = 2 };

static struct level {
	uint64_t over_since; /* when slack went beyond the level, ns; 0 if it is not */
	bool due;            /* it has been there for long enough, and is on its way down */
} levels[LEVELS];

/* What was refused is tried again after this: a child that shared it is gone, perhaps. */
#define TRY_AGAIN (5 * 1000 * 1000000ull)

static bool refused;
static uint64_t refused_at; /* ns; 0 until bound_excess() has seen that it was */

static size_t demoted_at; /* see bound_demoted_at() */

void bound_reset(void)
{
	memset(levels, 0, sizeof(levels));
	at_set(&demoted_at, 0);
	refused = false;
	refused_at = 0;
}

size_t bound_pages(bool pressure)
{
	size_t used = release_used_pages();
	size_t pages = used / 100 * options.bound, least = BOUND_LEAST >> machine.grain_shift;

	if (options.release == RELEASE_KEEP)
		return SIZE_MAX;
	if (pages < least)
		pages = least;
	if (pressure)
		return pages / 4;
	return options.release == RELEASE_TIGHT ? pages / 2 : pages;
}

/* Whether slack has been beyond a level for long enough.  Once it has, it goes down to half of it,
 * which may take many steps, so that the next free does not bring it back here. */
static bool is_due(struct level *l, size_t slack, size_t bound, uint64_t now, uint64_t patience)
{
	if (slack <= (l->due ? bound / 2 : bound)) {
		*l = (struct level){0};
		return false;
	}
	if (!l->over_since)
		l->over_since = now;
	if (now - l->over_since >= patience)
		l->due = true;
	return l->due;
}

static void try_refused_again(uint64_t now)
{
	if (!refused)
		return;
	if (!refused_at)
		refused_at = now;
	if (now - refused_at < TRY_AGAIN)
		return;
	refused = false;
	refused_at = 0;
	each_filler(f)
		filler_unpin(f);
	each_ledger(l)
		ledger_unpin(l);
}

size_t bound_demoted_at(void)
{
	return at_get(&demoted_at);
}

bool bound_refused(void)
{
	return refused;
}

size_t bound_excess(uint64_t now, uint64_t delay, bool pressure)
{
	try_refused_again(now);
	size_t slack = release_slack_pages(), bound = bound_pages(pressure), excess = 0;

	stat_set(slack, slack << machine.grain_shift);
	if (bound == SIZE_MAX)
		return 0;
	/* Where nothing is waited for, the one bound is all that is asked for. */
	unsigned most = pressure || !delay ? 1 : LEVELS;
	for (unsigned level = 0; level < most; level++, bound /= 2, delay *= 4) {
		if (is_due(&levels[level], slack, bound, now, pressure ? 0 : delay))
			excess = slack - bound / 2;
	}
	return excess;
}

size_t bound_tolerated(void)
{
	size_t bound = bound_pages(false);

	return bound == SIZE_MAX ? bound : bound >> (LEVELS - 1);
}

/* The unit with the most slack is demoted, whosever it is.  Yields the pages given back, 0 if it
 * was refused.  False if none is worth it. */
static bool demote_one(size_t *given)
{
	size_t worst = 0;
	struct filler *filler = NULL;
	struct ledger *ledger = NULL;

	each_filler(f)
		if (bound_holds_for(f) && filler_worst_slack(f) > worst) {
			worst = filler_worst_slack(f);
			filler = f;
		}
	each_ledger(l)
		if (ledger_worst_slack(l) >= worst && ledger_worst_slack(l)) {
			worst = ledger_worst_slack(l);
			ledger = l;
		}
	if (ledger)
		*given = ledger_demote(ledger, (unsigned)worst, 1);
	else if (filler)
		*given = filler_demote(filler, worst);
	return ledger || filler;
}

bool bound_holds_for(const struct filler *f)
{
	return f->policy.release != RELEASE_AS_KEEP;
}

static void note_given(size_t pages)
{
	if (pages)
		at_set(&demoted_at, release_used_pages());
	stat_add(demoted_bytes, pages << machine.grain_shift);
}

size_t bound_tighten(size_t units)
{
	size_t given = 0, done = 0;

	each_filler(f)
		while (f->policy.release == RELEASE_AS_TIGHT && done < units &&
		       filler_worst_slack(f)) {
			given += filler_demote(f, filler_worst_slack(f));
			done++;
		}
	note_given(given);
	return done;
}

size_t bound_demote(size_t pages, size_t units)
{
	/* A unit that is refused is passed over afterwards, but costs a turn. */
	enum { REFUSALS = 16 };
	size_t given = 0, refusals = 0, n;

	for (size_t i = 0; i < units && given < pages && refusals < REFUSALS; i++) {
		if (!demote_one(&n))
			break;
		refusals += !n;
		given += n;
	}
	refused |= refusals > 0;
	note_given(given);
	return given;
}
