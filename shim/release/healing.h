/*
 * healing.h: which broken units are made huge again, and how fast.
 *
 * A unit is worth it if it is full enough: it was demoted and filled again, or a write after fork
 * or a failed huge fault broke it.  Healing takes at most options.heal percent of one core, and
 * backs off when the kernel refuses or takes long.
 *
 * The caller holds the worker's token.
 */
#ifndef UNSPLIT_RELEASE_HEALING_H
#define UNSPLIT_RELEASE_HEALING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/filler.h"
#include "pmd/heal.h"
#include "pmd/ledger.h"

/* What there is to walk through: the ledgers, and then the fillers. */
size_t healing_stages(void);
/* One look on at one of them, and one unit healed at most.  *over says whether the walk came to its
 * end. */
enum heal_result healing_look(size_t stage, struct heal_walk *walk,
                              const struct heal_limits *limits, bool *over);

void healing_reset(void);
/* Look through all units again: something may have broken them. */
void healing_ask(void);
/* Whether there is more to look at. */
bool healing_pending(void);
/* A place was found in a demoted unit: heal the unit before the place is touched, within the budget
 * at `now`, if memory may grow by `growth` pages. */
void healing_fill(struct filler *f, const void *p, size_t growth, uint64_t now);
void healing_fill_small(struct ledger *l, const void *p, size_t growth, uint64_t now);
/* Spend what the budget allows at `now`, and about `portion` at most (both ns).  Memory may grow by
 * `growth` pages.  Returns how long (ns) to wait before the next step. */
uint64_t healing_step(uint64_t now, size_t growth, uint64_t portion);

#endif
