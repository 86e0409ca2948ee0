#include "release/bound.h"

#include "kernel/kernel.h"
#include "options.h"
#include "release/release.h"
#include "report/stats.h"

/* A program that uses little may still hold this much slack. */
#define BOUND_LEAST (32ul << 20)

static uint64_t over_since; /* when slack went beyond the bound, ns; 0 if it is not */

void bound_reset(void)
{
	over_since = 0;
}

size_t bound_pages(bool pressure)
{
	size_t used = release_used_pages();
	size_t pages = used / 100 * options.bound, least = BOUND_LEAST >> machine.grain_shift;

	if (options.release == RELEASE_KEEP)
		return SIZE_MAX;
	if (pages < least)
		pages = least;
	return pressure || options.release == RELEASE_TIGHT ? pages / 4 : pages;
}

size_t bound_excess(uint64_t now, uint64_t delay, bool pressure)
{
	size_t slack = release_slack_pages(), bound = bound_pages(pressure);

	stat_set(slack, slack << machine.grain_shift);
	if (slack <= bound) {
		over_since = 0;
		return 0;
	}
	if (!over_since)
		over_since = now;
	if (!pressure && now - over_since < delay)
		return 0;
	/* Go well below, so that the next free does not bring it back here. */
	return slack - bound / 2;
}

/* One more demotion, where it frees the most; 0 if none is worth it. */
static size_t demote_one(void)
{
	struct release_scope *s = &release_scope;
	size_t worst = filler_worst_slack(s->filler), given = 0;

	/* The ledgers do not sort their units: ask for those that are at least as bad. */
	for (size_t i = 0; i < at_acquire(s->ledger_count) && !given; i++)
		given = ledger_demote(&s->ledgers[i], (unsigned)worst, 1);
	if (!given && worst)
		given = filler_demote(s->filler, worst);
	return given;
}

size_t bound_demote(size_t pages, size_t units)
{
	/* A unit that is refused is passed over afterwards, but costs a turn. */
	enum { REFUSALS = 16 };
	size_t given = 0, refused = 0;

	for (size_t i = 0; i < units && given < pages && refused < REFUSALS; i++) {
		size_t n = demote_one();

		refused += !n;
		given += n;
	}
	stat_add(demoted_bytes, given << machine.grain_shift);
	return given;
}
