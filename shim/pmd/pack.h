/*
 * pack.h: partly used units: which has room, and which has most slack (part of the filler).
 *
 * All functions are called with the filler's lock held.
 */
#ifndef UNSPLIT_PMD_PACK_H
#define UNSPLIT_PMD_PACK_H

#include "pmd/filler.h"

/* Start packing into a unit that is free; none of its pages is used yet. */
void pack_open(struct pack *p, struct unit *u);
/* Stop packing into it. */
void pack_close(struct pack *p, struct unit *u);

/* Mark pages used or free. */
void pack_use(struct pack *p, struct unit *u, unsigned from, unsigned n);
void pack_unuse(struct pack *p, struct unit *u, unsigned from, unsigned n);

/* While a unit is taken out nobody finds it; freeing its pages is allowed. */
void pack_take_out(struct pack *p, struct unit *u);
void pack_put_in(struct pack *p, struct unit *u);

/* A unit of a kind up to `most` with room for `pages` from a multiple of `align` on, and where: the
 * tightest fit of the first kind that has one.  NULL if there is none. */
struct unit *pack_find(const struct pack *p, unsigned most, unsigned pages, unsigned align,
                       unsigned *from);

/* The most slack that a unit has, rounded down to 8 pages; 0 if none has 8. */
unsigned pack_worst_slack(const struct pack *p);
/* A unit with that much; NULL if none has 8 pages. */
struct unit *pack_worst(const struct pack *p);

/* Backed pages of a partly used unit. */
unsigned pack_backed(const struct unit *u);

bool pack_consistent(const struct pack *p);

#endif
