/*
 * stock.h: zones, addresses, and the stock of free units (part of the filler).
 *
 * Functions that take units or put them back are called with the filler's lock held.
 */
#ifndef UNSPLIT_PMD_STOCK_H
#define UNSPLIT_PMD_STOCK_H

#include "kernel/kernel.h"
#include "pmd/filler.h"

static inline struct unit *unit_at(const struct filler_zone *z, size_t index)
{
	return (struct unit *)z->units.base + index;
}

static inline size_t index_of(const struct filler_zone *z, const struct unit *u)
{
	return (size_t)(u - (const struct unit *)z->units.base);
}

/* The page of its zone that p lies in. */
static inline size_t page_of(const struct filler_zone *z, const void *p)
{
	return (size_t)((const char *)p - z->zone.data.base) >> machine.grain_shift;
}

static inline char *address_of(const struct filler_zone *z, const struct unit *u, unsigned page)
{
	return z->zone.data.base + (index_of(z, u) << machine.unit_shift) +
	       ((size_t)page << machine.grain_shift);
}

/* The zone whose unit array holds u. */
struct filler_zone *zone_of_unit(struct filler *f, const struct unit *u);

/* Take n neighbouring units, the first at a multiple of `align` units: kept ones first, since they
 * cost nothing, then clean ones, then fresh ones from the top.  With `growth` the top comes before
 * clean ones, and that many units stay free behind.  NULL if there is no room. */
struct unit *stock_take(struct filler *f, size_t n, size_t align, size_t growth);
/* Take the n units from `index` on, if they are free. */
bool stock_take_at(struct filler *f, struct filler_zone *z, size_t index, size_t n);
/* Put units back, UNIT_KEPT or UNIT_CLEAN, joined with free neighbours of the same state. */
void stock_put(struct filler *f, struct filler_zone *z, struct unit *first, size_t n,
               enum unit_state state);
/* Take up to `most` units of the longest kept run out as UNIT_BUSY; NULL if none is kept. */
struct unit *stock_claim_kept(struct filler *f, size_t most, size_t *n);

#endif
