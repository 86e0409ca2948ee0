/*
 * mmap.c: the mmap family under its standard names.
 *
 * What a call does is decided in map/.  libc's own calls (thread stacks, stdio, the loader) do not
 * come here, mimalloc's go to the ledger (heap/small.c), and ours are raw (kernel/mapping.h).
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "abi/export.h"
#include "heap/thread.h"
#include "map/map.h"

static void *pointer_or_error(long result)
{
	if (__builtin_expect(result < 0 && result > -4096, 0)) {
		errno = (int)-result;
		return MAP_FAILED;
	}
	return (void *)result;
}

static int status_or_error(long result)
{
	if (__builtin_expect(result < 0, 0)) {
		errno = (int)-result;
		return -1;
	}
	return (int)result;
}

/* What mimalloc maps for itself, inside a call of the heap, is nobody's site; and to look it up
 * could wait for ever: pthread_getattr_np() allocates while it holds the lock that unwinding in a
 * new thread needs (site/frames.h). */
static const void *caller_outside(const void *caller)
{
	return self.in_call ? NULL : caller;
}

EXPORT void *mmap(void *addr, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return pointer_or_error(
		map_mmap(addr, bytes, protection, flags, fd, offset, caller_outside(CALLER)));
}

EXPORT void *mmap64(void *addr, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
	return pointer_or_error(
		map_mmap(addr, bytes, protection, flags, fd, offset, caller_outside(CALLER)));
}

EXPORT int munmap(void *addr, size_t bytes)
{
	return status_or_error(map_munmap(addr, bytes));
}

EXPORT void *mremap(void *addr, size_t bytes, size_t new_bytes, int flags, ...)
{
	void *to = NULL;
	va_list more;

	if (flags & MREMAP_FIXED) {
		va_start(more, flags);
		to = va_arg(more, void *);
		va_end(more);
	}
	return pointer_or_error(map_mremap(addr, bytes, new_bytes, flags, to));
}

EXPORT int madvise(void *addr, size_t bytes, int advice)
{
	return status_or_error(map_madvise(addr, bytes, advice));
}

/* As in glibc, where POSIX_MADV_DONTNEED does nothing: Linux' MADV_DONTNEED loses contents. */
EXPORT int posix_madvise(void *addr, size_t bytes, int advice)
{
	return advice == POSIX_MADV_DONTNEED ? 0 : (int)-map_madvise(addr, bytes, advice);
}

EXPORT int mprotect(void *addr, size_t bytes, int protection)
{
	return status_or_error(map_mprotect(addr, bytes, protection));
}
