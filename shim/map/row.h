/*
 * row.h: mappings that are only to be aligned, side by side.
 *
 * A row is address space of several units, reserved without access.  A reservation of a caller that
 * only wants alignment (aligner.h) is the next piece of a row.  What the caller then unmaps at the
 * piece's end is where the next piece begins, so that what it keeps fills unit after unit.
 *
 * To the program each call does what the kernel does: what it reserved faults, and so does what it
 * unmapped, which is not mapped again before the next piece needs it (by MAP_FIXED_NOREPLACE: if
 * anybody was there first, the row goes on behind him).  So a unit cannot be huge before all of it
 * was opened.  In that moment it is collapsed (K5).
 *
 * A row with a piece of which nothing was unmapped yet waits: other threads take other rows.
 * Lock-free and async-signal-safe.
 */
#ifndef UNSPLIT_MAP_ROW_H
#define UNSPLIT_MAP_ROW_H

#include "map/aligner.h"

/* Whether such a reservation leaves pieces without gaps. */
bool row_wants(const struct reservation *r, size_t align);
/* The place for a reservation that row_wants(); a negative errno value if it is not to be had. */
long row_take(const struct reservation *r, size_t align);

/* Whether there are any: if not, the calls below do nothing. */
extern bool rows_used;
/* The program unmapped, or mapped something else over, or opened to read and write, `s`. */
void row_unmapped(struct span s);
void row_replaced(struct span s);
void row_opened(struct span s);

/* While one thread gives up a part of a unit, another may collapse it between the cut (part.h) and
 * the call itself.  Whoever gives up a part asks before the cut, and settles after the call: if a
 * unit was collapsed meanwhile, what may be mapped in part is split then. */
unsigned row_quiet(void);
void row_settle(struct span s, unsigned quiet);

/* Forget everything: between unit tests. */
void row_reset(void);

#endif
