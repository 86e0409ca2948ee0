/*
 * packing.h: small mappings of allocators, several to a unit.
 *
 * An allocator that takes its memory in pieces of 256 KiB or 1 MiB (Python's arenas) never gets a
 * huge page: no mapping of its own covers a unit.  So we map a whole unit, advised, and hand out
 * pieces of it.  A piece is what the kernel itself makes of mappings that lie side by side, a part
 * of a larger mapping of the same kind, so every later call on it (munmap, mremap, mprotect,
 * madvise, MAP_FIXED) is the kernel's, on exactly its pages; other pieces are only split from it
 * first (part.h).  A piece that the program unmaps is gone: its place is never handed out again, so
 * what is handed out is always fresh and reads zero.
 *
 * Lock-free and async-signal-safe.
 */
#ifndef UNSPLIT_MAP_PACKING_H
#define UNSPLIT_MAP_PACKING_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a mapping of this size is likely an allocator's, and worth packing.  What it needs to be
 * besides is a new private anonymous one, readable and writable. */
bool packing_wants(size_t bytes);
/* A piece of `bytes`; a negative errno value if it is not to be had. */
long packing_take(size_t bytes);

/* Forget everything: between unit tests. */
void packing_reset(void);

#endif
