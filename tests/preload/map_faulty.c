/*
 * map_faulty.c: a library with planted errors, to be preloaded before the shim: the differential
 * test must notice each.  MAP_FAULT names the call that is wrong.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

#define EXPORT __attribute__((visibility("default")))

enum { PAGE = 4096 };

static bool wrong(const char *call)
{
	const char *fault = getenv("MAP_FAULT");

	return fault && !strcmp(fault, call);
}

#define NEXT(name) ((__typeof(&name))dlsym(RTLD_NEXT, #name))

/* A length that is a page short, if there is more than one. */
static size_t short_of(size_t bytes)
{
	return bytes > 2 * PAGE ? bytes - PAGE : bytes;
}

/* Memory that does not read zero. */
static void *dirty(const char *call, void *p, int protection, int flags)
{
	if (wrong(call) && p != MAP_FAILED && protection & PROT_WRITE && flags & MAP_ANONYMOUS)
		*(volatile char *)p = 1;
	return p;
}

EXPORT void *mmap(void *addr, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return dirty("mmap", NEXT(mmap)(addr, bytes, protection, flags, fd, offset), protection,
	             flags);
}

EXPORT void *mmap64(void *addr, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
	return dirty("mmap64", NEXT(mmap64)(addr, bytes, protection, flags, fd, offset), protection,
	             flags);
}

EXPORT int munmap(void *addr, size_t bytes)
{
	return NEXT(munmap)(addr, wrong("munmap") ? short_of(bytes) : bytes);
}

EXPORT int mprotect(void *addr, size_t bytes, int protection)
{
	return NEXT(mprotect)(addr, wrong("mprotect") ? short_of(bytes) : bytes, protection);
}

EXPORT int madvise(void *addr, size_t bytes, int advice)
{
	return NEXT(madvise)(addr, wrong("madvise") ? short_of(bytes) : bytes, advice);
}

EXPORT int posix_madvise(void *addr, size_t bytes, int advice)
{
	if (wrong("posix_madvise") && advice == POSIX_MADV_DONTNEED)
		return NEXT(madvise)(addr, bytes, MADV_DONTNEED);
	return NEXT(posix_madvise)(addr, bytes, advice);
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
	/* A tail that is left behind. */
	return NEXT(mremap)(addr, wrong("mremap") ? short_of(bytes) : bytes, new_bytes, flags, to);
}
