#include "pmd/ranks.h"

#include <errno.h>

int ranks_open(struct ranks *r, size_t units)
{
	size_t groups[RANK_LEVELS], sum = 0;

	for (unsigned k = 0; k < RANK_LEVELS; k++) {
		units = units / RANK_FAN + 1;
		groups[k] = units;
		sum += units;
	}
	if (prefix_reserve(&r->groups, NULL,
	                   (sum * sizeof(struct rank_group) + machine.page - 1) & -machine.page,
	                   machine.page))
		return ENOMEM;
	struct rank_group *next = (struct rank_group *)r->groups.base;
	for (unsigned k = RANK_LEVELS; k-- > 0; next += groups[k])
		r->level[k] = next;
	r->highest = groups[RANK_LEVELS - 1];
	r->lock = (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
	return 0;
}

/* ---- the sets ---- */

/* A bit below is always set before the one above, and whoever takes bits takes the one above
 * first.  So none is set that nobody will find, though nothing is locked; but one may be found
 * for which there is no more below. */
static void add(struct ranks *r, unsigned rank, size_t unit)
{
	for (unsigned k = 0; k < RANK_LEVELS; k++, unit /= RANK_FAN) {
		uint64_t *word = &r->level[k][unit / RANK_FAN].in[rank];
		uint64_t bit = 1ull << (unit % RANK_FAN);

		if (__atomic_fetch_or(word, bit, __ATOMIC_ACQ_REL) & bit)
			return;
	}
}

static void take_out(struct ranks *r, unsigned rank, size_t unit)
{
	for (unsigned k = 0; k < RANK_LEVELS; k++, unit /= RANK_FAN) {
		uint64_t *word = &r->level[k][unit / RANK_FAN].in[rank];

		*word &= ~(1ull << (unit % RANK_FAN));
		if (*word)
			return;
	}
}

void ranks_tell(struct ranks *r, size_t unit)
{
	add(r, RANK_UNSEEN, unit);
}

/* ---- noting ---- */

/* Take all bits of the word of group `i`, and go on with the groups below, or the units. */
static void each_unseen(struct ranks *r, unsigned level, size_t i,
                        void (*note)(void *, size_t unit), void *argument)
{
	uint64_t *word = &r->level[level][i].in[RANK_UNSEEN];
	uint64_t bits = at_get(word) ? at_swap(word, 0) : 0;

	for (; bits; bits &= bits - 1) {
		size_t below = i * RANK_FAN + (unsigned)__builtin_ctzll(bits);

		if (level)
			each_unseen(r, level - 1, below, note, argument);
		else
			note(argument, below);
	}
}

void ranks_each_unseen(struct ranks *r, void (*note)(void *, size_t unit), void *argument)
{
	for (size_t i = 0; i < r->highest; i++)
		each_unseen(r, RANK_LEVELS - 1, i, note, argument);
}

void ranks_note(struct ranks *r, size_t unit, unsigned rank)
{
	uint8_t *noted = &r->level[0][unit / RANK_FAN].noted[unit % RANK_FAN];
	unsigned old = *noted;

	if (old == rank)
		return;
	if (old != RANK_NONE) {
		take_out(r, old, unit);
		r->count[old]--;
	}
	if (rank != RANK_NONE) {
		add(r, rank, unit);
		r->count[rank]++;
	}
	r->slack -= old <= RANK_WORST ? old : 0;
	r->slack += rank <= RANK_WORST ? rank : 0;
	*noted = (uint8_t)rank;
}

/* ---- finding ---- */

unsigned ranks_worst(const struct ranks *r)
{
	unsigned rank = RANK_WORST;

	while (rank > RANK_NONE && !r->count[rank])
		rank--;
	return rank;
}

size_t ranks_last(const struct ranks *r, unsigned rank)
{
	size_t i = r->highest;

	while (!r->level[RANK_LEVELS - 1][--i].in[rank])
		;
	for (unsigned k = RANK_LEVELS; k-- > 0;) {
		uint64_t bits = r->level[k][i].in[rank];

		i = i * RANK_FAN + RANK_FAN - 1 - (unsigned)__builtin_clzll(bits);
	}
	return i;
}

/* ---- invariants ---- */

/* Whether a unit is in the set of its rank, and in no other. */
static bool unit_consistent(const struct ranks *r, size_t unit)
{
	const struct rank_group *g = &r->level[0][unit / RANK_FAN];

	for (unsigned rank = RANK_NONE; rank < RANK_UNSEEN; rank++) {
		bool in = g->in[rank] >> (unit % RANK_FAN) & 1;

		if (in != (rank != RANK_NONE && rank == ranks_of(r, unit)))
			return false;
	}
	return true;
}

/* Whether a bit is set above each word, of those for the first `units`, that is not empty. */
static bool level_consistent(const struct ranks *r, unsigned level, size_t units, unsigned rank)
{
	size_t groups = units;

	for (unsigned k = 0; k <= level; k++)
		groups = (groups + RANK_FAN - 1) / RANK_FAN;
	for (size_t i = 0; i < groups; i++) {
		uint64_t above = r->level[level + 1][i / RANK_FAN].in[rank];

		if ((above >> (i % RANK_FAN) & 1) != (r->level[level][i].in[rank] != 0))
			return false;
	}
	return true;
}

bool ranks_consistent(const struct ranks *r, size_t units)
{
	size_t count[RANKS] = {0}, slack = 0;

	for (size_t unit = 0; unit < units; unit++) {
		if (!unit_consistent(r, unit))
			return false;
		count[ranks_of(r, unit)]++;
		slack += ranks_of(r, unit) <= RANK_WORST ? ranks_of(r, unit) : 0;
	}
	for (unsigned rank = RANK_NONE + 1; rank < RANK_UNSEEN; rank++)
		if (count[rank] != r->count[rank] || !level_consistent(r, 0, units, rank) ||
		    !level_consistent(r, 1, units, rank))
			return false;
	return slack == r->slack;
}
