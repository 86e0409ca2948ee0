/*
 * part.h: calls on part of a unit, and pads (see map.h, notes.h).
 */
#ifndef UNSPLIT_MAP_PART_H
#define UNSPLIT_MAP_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/notes.h"

/* A page-aligned range of addresses. */
struct span {
	uintptr_t start, end;
};

/* The range that a call names.  False if the kernel will refuse it (not aligned, empty, past the
 * end of the address space): then the call is just passed on. */
bool span_of(struct span *s, const void *addr, size_t bytes);

static inline size_t span_bytes(struct span s)
{
	return s.end - s.start;
}

static inline bool is_whole(uintptr_t address)
{
	return !(address & (machine.unit - 1));
}

/* Whether a call on this range may meet anything that we noted.  Cheap, and usually false. */
static inline bool span_noted(struct span s)
{
	return s.end - s.start > machine.unit || note_get(s.start) || note_get(s.end - 1);
}

/* Where a call should end that ends at the program's last page before a pad: behind the pad, which
 * does as that page does.  Else s.end. */
uintptr_t span_with_pad(struct span s);
/* Where the pad begins that lies at the end of this range, as span_with_pad() made it; 0 if there
 * is none. */
uintptr_t span_pad(struct span s);
/* The program names addresses that we gave to a pad: it must not find anything there.  Unmaps the
 * pads that overlap `s`. */
void span_without_pads(struct span s);
/* Unmap the pad of the unit that holds this address. */
void pad_drop(uintptr_t address);

/* The program is about to take [s.start, s.end) away from its mapping or its memory: split, at
 * once, what huge page lies across either end, so that no partially mapped one stays (K1). */
void span_cut(struct span s);
/* The same, and keep khugepaged from filling the units at both ends again (K1). */
void span_cut_for_good(struct span s);
/* Whole units of the range that were split so, and are now empty, may be huge again. */
void span_mend(struct span s);
/* The program is about to treat the range as one mapping: our advice for units that were split must
 * not have made it several. */
void span_join(struct span s);

#endif
