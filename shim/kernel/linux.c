#include "kernel/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kernel/mapping.h"
#include "kernel/nodes.h"
#include "kernel/pressure.h"
#include "kernel/scan.h"
#include "kernel/sysfs.h"
#include "kernel/vma_name.h"

/* Run one call that reports through errno; return its error, leave errno as it was. */
#define CALL(expression)                                                                           \
	({                                                                                         \
		int saved_errno = errno;                                                           \
		int error = (expression) ? errno : 0;                                              \
		errno = saved_errno;                                                               \
		error;                                                                             \
	})

/* Our own calls are raw: under their libc names they would be the program's (abi/mmap.c). */
static int error_of(long value)
{
	return value < 0 ? (int)-value : 0;
}

static void *linux_reserve(void *hint, size_t bytes)
{
	long p = raw_mmap(hint, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	                  0);

	return error_of(p) ? NULL : (void *)p;
}

static int linux_unreserve(void *addr, size_t bytes)
{
	return error_of(raw_munmap(addr, bytes));
}

static int linux_make_usable(void *addr, size_t bytes)
{
	return error_of(raw_mprotect(addr, bytes, PROT_READ | PROT_WRITE));
}

static int linux_advise_huge(void *addr, size_t bytes)
{
	return error_of(raw_madvise(addr, bytes, MADV_HUGEPAGE));
}

static int linux_advise_base(void *addr, size_t bytes)
{
	return error_of(raw_madvise(addr, bytes, MADV_NOHUGEPAGE));
}

static int linux_give_back(void *addr, size_t bytes)
{
	return error_of(raw_madvise(addr, bytes, MADV_DONTNEED));
}

static int linux_split(void *unit)
{
	/* On one page: that is part of a huge page, and part of a folio that is huge no longer but
	 * still whole inside, as a write after fork leaves it.  The page itself may be the one that
	 * was written, and then not be part of that folio: hence a second one. */
	char *page = unit;
	int error = error_of(raw_madvise(page, machine.page, MADV_COLD));

	return error ? error
	             : error_of(raw_madvise(page + machine.unit / 2, machine.page, MADV_COLD));
}

static int linux_collapse(void *unit)
{
	return error_of(raw_madvise(unit, machine.unit, MADV_COLLAPSE));
}

static int linux_move(void *from, size_t bytes, void *to)
{
	/* DONTUNMAP, so that the source stays part of the zone instead of becoming a hole that
	 * another mapping of the program could fall into. */
	return error_of(raw_mremap(from, bytes, bytes,
	                           MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to));
}

static int linux_remap(void *addr, size_t bytes)
{
	return error_of(raw_mmap(addr, bytes, PROT_READ | PROT_WRITE,
	                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
}

static int linux_populate(void *addr, size_t bytes, bool writable)
{
	int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	int error = error_of(raw_madvise(addr, bytes, advice));

	if (error != EINVAL || !writable)
		return error;
	/* Kernels before 5.14 do not know the advice. */
	for (size_t at = 0; at < bytes; at += machine.page)
		__atomic_fetch_or((char *)addr + at, 0, __ATOMIC_RELAXED);
	return 0;
}

static size_t linux_resident(void *addr, size_t bytes)
{
	enum { AT_ONCE = 1024 };
	unsigned char seen[AT_ONCE];
	size_t pages = bytes / machine.page, resident = 0;

	for (size_t at = 0; at < pages; at += AT_ONCE) {
		size_t n = pages - at < AT_ONCE ? pages - at : AT_ONCE;

		if (CALL(mincore((char *)addr + at * machine.page, n * machine.page, seen)))
			return SIZE_MAX;
		for (size_t i = 0; i < n; i++)
			resident += (seen[i] & 1) * machine.page;
	}
	return resident;
}

static size_t linux_address_limit(void)
{
	struct rlimit limit;

	if (CALL(getrlimit(RLIMIT_AS, &limit)) || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return limit.rlim_cur;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t linux_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static uint64_t linux_processor_time(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

const struct kernel kernel_linux = {
	.reserve = linux_reserve,
	.unreserve = linux_unreserve,
	.make_usable = linux_make_usable,
	.advise_huge = linux_advise_huge,
	.advise_base = linux_advise_base,
	.give_back = linux_give_back,
	.split = linux_split,
	.collapse = linux_collapse,
	.move = linux_move,
	.remap = linux_remap,
	.resident = linux_resident,
	.place = nodes_place,
	.name = vma_name,
	.node = nodes_here,
	.nodes = nodes_count,
	.processor = nodes_processor,
	.kept_from = nodes_kept_from,
	.locate = nodes_locate,
	.populate = linux_populate,
	.survey = scan_units,
	.exclusive = scan_exclusive,
	.address_limit = linux_address_limit,
	.near_limit = kernel_near_limit,
	.pressure = kernel_pressure,
	.now = linux_now,
	.processor_time = linux_processor_time,
};

const struct kernel *kernel = &kernel_linux;

struct machine machine;

void machine_set(size_t page, size_t unit)
{
	machine.page = page;
	machine.unit = unit;
	machine.grain = unit / 512 > page ? unit / 512 : page;
	machine.unit_shift = (unsigned)__builtin_ctzl(machine.unit);
	machine.grain_shift = (unsigned)__builtin_ctzl(machine.grain);
}

void machine_init(void)
{
	size_t page = getauxval(AT_PAGESZ);
	uint64_t unit;

	machine.pmd_known = sysfs_number(SYSFS_THP "hpage_pmd_size", &unit);
	/* Units of more than 32 MiB (64 KiB base pages: 512 MiB) would hold more memory than they
	 * save faults.  There, and without THP, lay memory out in smaller units all the same:
	 * packing and whole returns work on any kernel. */
	if (!machine.pmd_known || unit > ((size_t)32 << 20) || unit < 512 * page)
		unit = page * 512;
	machine_set(page, (size_t)unit);
}
