/*
 * place.h: where mappings go (see map.h).
 */
#ifndef UNSPLIT_MAP_PLACE_H
#define UNSPLIT_MAP_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "map/part.h"

/* Whether the program's mappings are ours to place. */
extern bool map_active;

/* Where a mapping that ends at `end` (and covers the whole of `end`'s unit before that) should
 * really end: at the end of the unit, if that wastes little. */
uintptr_t padded_end(uintptr_t end);

/* Reserve address space for `bytes`, without access, at an address that lies `offset` bytes into
 * its unit; `flags` are those of mmap.  Returns 0 if there is none. */
uintptr_t reserve_place(size_t bytes, size_t offset, int flags);

/* Note and advise what was placed at `s`, the last unit padded from `end` on if that is not
 * s.end. */
void placed(struct span s, uintptr_t end);

/* To be told of what the kernel mapped where it chose; returns `result`. */
long not_placed(long result, size_t bytes);

#endif
