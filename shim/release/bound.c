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

bool bound_may_demote(const struct filler *f)
{
	return f->policy.release != RELEASE_AS_KEEP;
}

/* Under release:keep the bound holds where a rule says `balanced`, and nowhere else.  (Where one
 * says `tight`, slack does not get as far as a bound: bound_tighten().) */
static bool holds_for(const struct filler *f)
{
	if (options.release == RELEASE_KEEP)
		return f->policy.release == RELEASE_AS_BALANCED;
	return bound_may_demote(f);
}

size_t bound_slack(void)
{
	size_t sum = 0;

	if (options.release != RELEASE_KEEP)
		return release_slack_pages();
	each_filler(f)
		if (holds_for(f))
			sum += filler_slack(f);
	return sum;
}

/* Pages that the bound is a share of; SIZE_MAX if it holds nowhere. */
static size_t pages_bound(void)
{
	size_t sum = 0;
	bool any = false;

	if (options.release != RELEASE_KEEP)
		return release_used_pages();
	each_filler(f)
		if (holds_for(f)) {
			any = true;
			sum += at_get(&f->pack.used_pages) + at_get(&f->whole_units) * UNIT_PAGES;
		}
	return any ? sum : SIZE_MAX;
}

size_t bound_pages(bool pressure)
{
	size_t used = pages_bound();
	size_t pages = used / 100 * options.bound, least = BOUND_LEAST >> machine.grain_shift;

	if (used == SIZE_MAX)
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
	size_t slack = bound_slack(), bound = bound_pages(pressure), excess = 0;

	stat_set(slack, release_slack_pages() << machine.grain_shift);
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

/* The unit with the most slack is demoted, whosever it is, if the bound holds there, or may be
 * ignored.  Yields the pages given back, 0 if it was refused.  False if none is worth it. */
static bool demote_one(bool unbound, size_t *given)
{
	bool small = unbound || options.release != RELEASE_KEEP;
	size_t worst = 0;
	struct filler *filler = NULL;
	struct ledger *ledger = NULL;

	each_filler(f)
		if ((unbound ? bound_may_demote(f) : holds_for(f)) &&
		    filler_worst_slack(f) > worst) {
			worst = filler_worst_slack(f);
			filler = f;
		}
	each_ledger(l)
		if (small && ledger_worst_slack(l) >= worst && ledger_worst_slack(l)) {
			worst = ledger_worst_slack(l);
			ledger = l;
		}
	if (ledger)
		*given = ledger_demote(ledger, (unsigned)worst, 1);
	else if (filler)
		*given = filler_demote(filler, worst);
	return ledger || filler;
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

static size_t demote(size_t pages, size_t units, bool unbound)
{
	/* A unit that is refused is passed over afterwards, but costs a turn. */
	enum { REFUSALS = 16 };
	size_t given = 0, refusals = 0, n;

	for (size_t i = 0; i < units && given < pages && refusals < REFUSALS; i++) {
		if (!demote_one(unbound, &n))
			break;
		refusals += !n;
		given += n;
	}
	refused |= refusals > 0;
	note_given(given);
	return given;
}

size_t bound_demote(size_t pages, size_t units)
{
	return demote(pages, units, false);
}

size_t bound_demote_all(size_t pages, size_t units)
{
	return demote(pages, units, true);
}
