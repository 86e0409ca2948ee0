/*
 * plans.h: the plans that the program made or asked for by name.
 *
 * A table of fixed size that only grows, so that a pointer to a plan stays good.  Finding takes no
 * lock; adding takes one of its own, so it must be done inside a call of the heap, for which fork()
 * waits.  Nothing here calls malloc.
 */
#ifndef UNSPLIT_SITE_PLANS_H
#define UNSPLIT_SITE_PLANS_H

#include <stdbool.h>
#include <stddef.h>

#include "site/plan.h"

enum { PLANS_MOST = 128 };

/* Below the count they never change. */
extern struct plan plans[PLANS_MOST];

/* The plan that is the same, name and all: the one in the table, or a copy of it there.  NULL if
 * the table is full. */
const struct plan *plans_keep(const struct plan *plan);
/* The plan of the table with that name that the program made; NULL if there is none. */
const struct plan *plans_made(const char *name);
/* Note that the program made `plan`, which is in the table.  False if it made another one of that
 * name. */
bool plans_make(const struct plan *plan);

/* Between tests: forget all. */
void plans_reset(void);

#endif
