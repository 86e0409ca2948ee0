#include "kernel/mapping.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Run one system call; -errno instead of -1, and errno as it was. */
#define RAW(...)                                                                                   \
	({                                                                                         \
		int saved_errno = errno;                                                           \
		long value = syscall(__VA_ARGS__);                                                 \
		if (__builtin_expect(value == -1, 0)) {                                            \
			value = -errno;                                                            \
			errno = saved_errno;                                                       \
		}                                                                                  \
		value;                                                                             \
	})

long raw_mmap(void *addr, size_t bytes, int protection, int flags, int fd, long offset)
{
	return RAW(SYS_mmap, addr, bytes, protection, flags, fd, offset);
}

long raw_munmap(void *addr, size_t bytes)
{
	return RAW(SYS_munmap, addr, bytes);
}

long raw_mremap(void *addr, size_t bytes, size_t new_bytes, int flags, void *to)
{
	return RAW(SYS_mremap, addr, bytes, new_bytes, flags, to);
}

long raw_madvise(void *addr, size_t bytes, int advice)
{
	return RAW(SYS_madvise, addr, bytes, advice);
}

long raw_mprotect(void *addr, size_t bytes, int protection)
{
	return RAW(SYS_mprotect, addr, bytes, protection);
}

const struct kernel_map kernel_map_linux = {
	.mmap = raw_mmap,
	.munmap = raw_munmap,
	.mremap = raw_mremap,
	.madvise = raw_madvise,
	.mprotect = raw_mprotect,
};

const struct kernel_map *kernel_map = &kernel_map_linux;
