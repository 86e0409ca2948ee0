/*
 * mapping.h: the system calls of the mmap family, as the program makes them.
 *
 * We export mmap, munmap, mremap, madvise and mprotect ourselves (abi/mmap.c), so nothing in the
 * shim may call those names: it would come back to itself.  Here are the calls themselves.  The
 * policy over the program's mappings (map/) calls through `kernel_map`, which a unit test may
 * replace; kernel/linux.c uses the functions.
 *
 * Convention: the call's value, or a negative errno value; errno is never changed.  Lengths are
 * passed on as they are, not rounded.  All are thread-safe and async-signal-safe.
 */
#ifndef UNSPLIT_KERNEL_MAPPING_H
#define UNSPLIT_KERNEL_MAPPING_H

#include <stddef.h>
#include <sys/mman.h> /* PROT_*, MAP_*, MADV_*: nobody may call by its names */

/* Older headers may not know these (K5). */
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

long raw_mmap(void *addr, size_t bytes, int protection, int flags, int fd, long offset);
long raw_munmap(void *addr, size_t bytes);
long raw_mremap(void *addr, size_t bytes, size_t new_bytes, int flags, void *to);
long raw_madvise(void *addr, size_t bytes, int advice);
long raw_mprotect(void *addr, size_t bytes, int protection);

struct kernel_map {
	long (*mmap)(void *addr, size_t bytes, int protection, int flags, int fd, long offset);
	long (*munmap)(void *addr, size_t bytes);
	long (*mremap)(void *addr, size_t bytes, size_t new_bytes, int flags, void *to);
	long (*madvise)(void *addr, size_t bytes, int advice);
	long (*mprotect)(void *addr, size_t bytes, int protection);
};

extern const struct kernel_map *kernel_map;
extern const struct kernel_map kernel_map_linux;

#endif
