/*
 * heal.h: what the filler's and the ledger's healing have in common.
 */
#ifndef UNSPLIT_PMD_HEAL_H
#define UNSPLIT_PMD_HEAL_H

#include <stddef.h>

enum heal_result { HEAL_NONE, HEAL_DONE, HEAL_REFUSED };

/* Where a walk over all units stands. */
struct heal_walk {
	size_t at;     /* the next unit */
	size_t rounds; /* how often the walk came to the end */
	size_t shared; /* units passed over because a child shares them: copying them would cost
	                  memory */
	size_t grown;  /* pages by which memory grew through healing */
};

/* Which units are worth it. */
struct heal_limits {
	unsigned full;  /* pages, used and resident, that a unit must have at least */
	size_t growth;  /* pages by which memory may grow */
	size_t look_at; /* units, in one call */
};

#endif
