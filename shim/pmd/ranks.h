/*
 * ranks.h: which units of a ledger are kept, and which have the most slack (part of the ledger).
 *
 * A ledger's words change at any time and without a lock.  So that whoever wants the unit with the
 * most slack need not read all words, each unit has a rank, and there is a set of units for each
 * rank.  A changed word makes its unit UNSEEN, without a lock; before the sets are asked, the rank
 * of each unseen unit is noted anew, which costs no more than the changes did.
 *
 * A set is a bitmap with a bitmap of its words that are not empty, and that has one, too.  So to
 * find, to put in and to take out costs the same for ten units and for a million.  Words of all
 * sets for the same 64 units lie together: few units need little memory.
 *
 * ranks_tell() is lock-free; all other functions are called with the lock held.
 */
#ifndef UNSPLIT_PMD_RANKS_H
#define UNSPLIT_PMD_RANKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/atomic.h"
#include "pmd/zone.h"

/* 1 to 31: used, with so many slices of slack.  Others have no rank, and are in no set but perhaps
 * that of the unseen: full and clean units, and those that are BUSY. */
enum { RANK_NONE = 0, RANK_WORST = 31, RANK_KEPT, RANK_PINNED, RANK_UNSEEN, RANKS };

enum { RANK_LEVELS = 3, RANK_FAN = 64 };

struct rank_group {
	uint64_t in[RANKS];      /* a bit for each of 64 units, or of 64 groups one level below */
	uint8_t noted[RANK_FAN]; /* the rank of each unit; lowest level only */
};

struct ranks {
	pthread_mutex_t lock;
	struct prefix groups; /* the levels, the highest first */
	struct rank_group *level[RANK_LEVELS];
	size_t highest; /* groups of the highest level */
	size_t count[RANKS];
	size_t slack; /* slices */
};

/* For a ledger of `units`.  Returns 0 or ENOMEM. */
int ranks_open(struct ranks *r, size_t units);

/* Must be called before the first `units` can have ranks.  Returns 0 or ENOMEM. */
static inline int ranks_need(struct ranks *r, size_t units)
{
	char *end = (char *)(r->level[0] + units / RANK_FAN + 1);

	return prefix_need(&r->groups, (size_t)(end - r->groups.base));
}

/* A unit's word, or what is backed of it, has changed. */
void ranks_tell(struct ranks *r, size_t unit);

/* Call note() for each unit that was told of, in no order. */
void ranks_each_unseen(struct ranks *r, void (*note)(void *, size_t unit), void *argument);
void ranks_note(struct ranks *r, size_t unit, unsigned rank);

static inline unsigned ranks_of(const struct ranks *r, size_t unit)
{
	return r->level[0][unit / RANK_FAN].noted[unit % RANK_FAN];
}

/* The slices of slack that the unit with most of them has; 0 if none has any. */
unsigned ranks_worst(const struct ranks *r);
/* The last unit of a rank.  There must be one. */
size_t ranks_last(const struct ranks *r, unsigned rank);

/* The invariants of the sets, for the first `units`. */
bool ranks_consistent(const struct ranks *r, size_t units);

#endif
