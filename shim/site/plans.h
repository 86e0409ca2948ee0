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

enum { PLANS_MOST = 128, PLANS_NAME_SIZE = 48 };

struct kept_plan {
	struct plan plan;
	char name[PLANS_NAME_SIZE]; /* by which it is asked for; "" if it is not.  (That of the plan
	                             * is for the kernel: it makes a zone of its own.) */
	bool made;                  /* by the program, not by a rule file */
};

/* Below the count they never change, but for `made`, once. */
extern struct kept_plan plans[PLANS_MOST];

/* The plan of the table that has the same name and settings; a new one if there is none, NULL if
 * there is no room for that. */
const struct kept_plan *plans_keep(const char *name, const struct plan *plan);
/* The plan of the table with that name that the program made; NULL if there is none. */
const struct kept_plan *plans_made(const char *name);
/* Note that the program made this one.  False if it made another one of that name. */
bool plans_make(const struct kept_plan *kept);

#endif
