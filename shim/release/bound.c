#include "release/bound.h"

#include "kernel/kernel.h"
#include "options.h"
#include "release/release.h"
#include "report/stats.h"

/* A program that uses little may still hold this much slack. */
#define BOUND_LEAST (32ul << 20)

/* Less slack than the bound is tolerated too, but not for ever: half of it for four times as long. */
enum { LEVELS = 2 };

static uint64_t over_since[LEVELS]; /* when slack went beyond the level, ns; 0 if it is not */

void bound_reset(void)
{
	over_since[0] = over_since[1] = 0;
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

/* Whether slack has been beyond a level for long enough. */
static bool is_due(unsigned level, bool over, uint64_t now, uint64_t patience)
{
	if (!over) {
		over_since[level] = 0;
		return false;
	}
	if (!over_since[level])
		over_since[level] = now;
	return now - over_since[level] >= patience;
}

size_t bound_excess(uint64_t now, uint64_t delay, bool pressure)
{
	size_t slack = release_slack_pages(), bound = bound_pages(pressure), excess = 0;

	stat_set(slack, slack << machine.grain_shift);
	if (bound == SIZE_MAX)
		return 0;
	for (unsigned level = 0; level < LEVELS; level++, bound /= 2, delay *= 4) {
		/* Once at it go well below, so that the next free does not bring it back here. */
		if (is_due(level, slack > bound, now, pressure ? 0 : delay))
			excess = slack - bound / 2;
	}
	return excess;
}

size_t bound_tolerated(void)
{
	size_t bound = bound_pages(false);

	return bound == SIZE_MAX ? bound : bound >> (LEVELS - 1);
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
