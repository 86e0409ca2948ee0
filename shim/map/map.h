/*
 * map.h: the program's own mappings.
 *
 * Each function is one call of the mmap family, and does what the kernel's call of that name does;
 * beyond that it sees to it that big private anonymous memory lies on whole units, and that a call
 * on part of a unit does not leave a huge page partially mapped (K1, K2):
 *   place.c   new mappings: aligned, advised, a tail that wastes little mapped to the full unit
 *   packing.c small ones of allocators share units
 *   aligner.c who asks for more than it needs only to have it aligned (V8)
 *   row.c     where that lies
 *   part.c    calls on part of a unit, and pads
 *   call.c    munmap, mprotect, madvise
 *   resize.c  mremap
 *
 * They return what the system call would, or a negative errno value; errno is never changed.  They
 * take no lock and call no malloc, so they may be called before constructors, from signal handlers,
 * and in a vforked child.  What two threads do at once to different addresses does not interfere,
 * even within one unit.
 */
#ifndef UNSPLIT_MAP_MAP_H
#define UNSPLIT_MAP_MAP_H

#include <stddef.h>

/* Until this is called, and if options or the system forbid huge pages, all calls are passed on as
 * they are.  Needs `machine` and `options`. */
void map_init(void);

/* `caller` is the return address of the exported function: a rule may have a plan for it (site/).
 */
long map_mmap(void *addr, size_t bytes, int protection, int flags, int fd, long offset,
              const void *caller);
long map_munmap(void *addr, size_t bytes);
long map_mremap(void *addr, size_t bytes, size_t new_bytes, int flags, void *to);
long map_madvise(void *addr, size_t bytes, int advice);
long map_mprotect(void *addr, size_t bytes, int protection);

#endif
