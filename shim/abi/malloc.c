/*
 * malloc.c: the malloc family under its standard names.
 *
 * What a request does is decided in heap/; here is only what each name's standard adds: which
 * alignments it takes, how it reports errors.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/export.h"
#include "heap/heap.h"
#include "kernel/kernel.h"
#include "report/stats.h"
#include "unsplit/unsplit.h"

/* A second name with the first one's attributes (gcc warns if they differ). */
#define ALIAS(name, of)                                                                            \
	extern __typeof(of) name __attribute__((visibility("default"), alias(#of) COPY(of)));
#ifdef __clang__
#define COPY(of)
#else
#define COPY(of) , copy(of)
#endif

/* A macro, so that the return address is only read where it is needed. */
#define MALLOC(n)                                                                                  \
	({                                                                                         \
		void *fast = heap_fast_malloc(&(n));                                               \
		__builtin_expect(fast != NULL, 1) ? fast : heap_malloc((n), CALLER);               \
	})

EXPORT void *malloc(size_t n)
{
	return MALLOC(n);
}

EXPORT void free(void *p)
{
	heap_fast_free(p);
}

EXPORT void *calloc(size_t count, size_t size)
{
	return heap_calloc(count, size, CALLER);
}

/* Some programs, lua for one, call nothing else. */
EXPORT void *realloc(void *p, size_t n)
{
	if (!p)
		return MALLOC(n);
	return heap_realloc(p, n, CALLER);
}

EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n)) {
		errno = ENOMEM;
		return NULL;
	}
	return heap_realloc(p, n, CALLER);
}

static bool power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

static void *aligned(size_t align, size_t n)
{
	if (!power_of_two(align)) {
		errno = EINVAL;
		return NULL;
	}
	return heap_aligned(align, n, CALLER);
}

EXPORT int posix_memalign(void **result, size_t align, size_t n)
{
	int saved_errno = errno;

	if (!power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	void *p = heap_aligned(align, n, CALLER);
	errno = saved_errno;
	if (!p)
		return ENOMEM;
	*result = p;
	return 0;
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
	return aligned(align, n);
}

EXPORT void *memalign(size_t align, size_t n)
{
	return aligned(align, n);
}

EXPORT void *valloc(size_t n)
{
	machine.page ? (void)0 : machine_init();
	return heap_aligned(machine.page, n, CALLER);
}

EXPORT void *pvalloc(size_t n)
{
	machine.page ? (void)0 : machine_init();
	if (n > PTRDIFF_MAX)
		return heap_malloc(n, CALLER);
	return heap_aligned(machine.page, (n + machine.page - 1) & ~(machine.page - 1), CALLER);
}

EXPORT size_t malloc_usable_size(void *p)
{
	return heap_usable(p);
}

/* Gone from glibc's headers, still called by old programs. */
EXPORT void cfree(void *p);
EXPORT void cfree(void *p)
{
	heap_fast_free(p);
}

EXPORT int malloc_trim(size_t pad)
{
	(void)pad;
	return heap_trim();
}

/* glibc's parameters tune glibc's allocator.  Accepted, without effect. */
EXPORT int mallopt(int parameter, int value)
{
	(void)parameter;
	(void)value;
	return 1;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct heap_figures f = heap_figures();

	return (struct mallinfo2){
		.arena = f.usable,
		.uordblks = f.used,
		.fordblks = f.usable > f.used ? f.usable - f.used : 0,
		.keepcost = stat_get(retained),
	};
}

static int clip(size_t n)
{
	return n > INT32_MAX ? INT32_MAX : (int)n;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();

	return (struct mallinfo){
		.arena = clip(m.arena),
		.uordblks = clip(m.uordblks),
		.fordblks = clip(m.fordblks),
		.keepcost = clip(m.keepcost),
	};
}

EXPORT void malloc_stats(void)
{
	unsplit_report("stderr");
}

EXPORT int malloc_info(int options, FILE *stream)
{
	struct heap_figures f = heap_figures();

	if (options) {
		errno = EINVAL;
		return -1;
	}
	return fprintf(stream,
	               "<malloc version=\"unsplit-1\">\n"
	               "<system type=\"current\" size=\"%zu\"/>\n"
	               "<total type=\"used\" size=\"%zu\"/>\n"
	               "</malloc>\n",
	               f.usable, f.used) < 0
	               ? -1
	               : 0;
}

/* Names that some programs call past the standard ones. */
ALIAS(__libc_malloc, malloc)
ALIAS(__libc_free, free)
ALIAS(__libc_calloc, calloc)
ALIAS(__libc_realloc, realloc)
ALIAS(__libc_memalign, memalign)
ALIAS(__libc_valloc, valloc)
ALIAS(__libc_pvalloc, pvalloc)
ALIAS(__posix_memalign, posix_memalign)
