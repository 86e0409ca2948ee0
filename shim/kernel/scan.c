/*
 * scan.c: resident and huge bytes by ioctl(PAGEMAP_SCAN), or by smaps_rollup where that is missing.
 */
#include "kernel/scan.h"

#include "kernel/kernel.h"
#include "kernel/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From the kernel's <linux/fs.h>; headers older than 6.7 do not have it.  Only what we use. */
struct page_region {
	uint64_t start, end;
	uint64_t categories;
};

struct pm_scan_arg {
	uint64_t size; /* of this struct */
	uint64_t flags;
	uint64_t start, end;
	uint64_t walk_end; /* out: where the scan stopped */
	uint64_t vec, vec_len;
	uint64_t max_pages;
	/* A page is reported if all categories of category_mask are set, after those of
	 * category_inverted were flipped. */
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)

enum { PAGE_IS_PRESENT = 1 << 3, PAGE_IS_PFNZERO = 1 << 5, PAGE_IS_HUGE = 1 << 6 };

_Static_assert(sizeof(struct pm_scan_arg) == 96, "the kernel checks the size");
_Static_assert(sizeof(struct page_region) == 24, "the kernel fills an array of these");

/* Regions asked for at once.  The kernel's walk_end is wrong beyond 512 (K7); fewer, because they
 * lie on the stack of whoever calls. */
enum { REGIONS = 256 };

_Static_assert(REGIONS <= 512 && sizeof(struct page_region[REGIONS]) <= 8192,
               "right for the kernel, and small for a thread's stack");

#define ROLLUP "/proc/self/smaps_rollup"

/* What a scan calls for each region it finds. */
typedef void (*region_visitor)(const struct page_region *region, void *arg);

/* Visit the regions of pages that are there: those that are a zero page, or with `inverted`
 * PAGE_IS_PFNZERO those that are not.  The zero pages are present, and the huge one is huge as well
 * (K2), but no memory stands behind them. */
static int scan_pagemap(int fd, const void *addr, size_t bytes, uint64_t inverted,
                        region_visitor visit, void *arg)
{
	struct page_region regions[REGIONS];
	uint64_t end = (uintptr_t)addr + bytes;
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = (uintptr_t)addr,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_inverted = inverted,
		.category_mask = PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_HUGE,
	};

	/* A full array ends a call before the end of the range. */
	for (; scan.start < end; scan.start = scan.walk_end) {
		int count = ioctl(fd, PAGEMAP_SCAN, &scan);

		if (count < 0)
			return errno;
		if (scan.walk_end <= scan.start)
			return EIO;
		for (int i = 0; i < count; i++)
			visit(&regions[i], arg);
	}
	return 0;
}

static int open_pagemap(void)
{
	/* Bare system calls: open() and close() are cancellation points, and a thread that is
	 * cancelled between them would leave the descriptor behind. */
	return (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

static int open_and_scan(const void *addr, size_t bytes, region_visitor visit, void *arg)
{
	int fd = open_pagemap();
	int error;

	if (fd < 0)
		return errno;
	error = scan_pagemap(fd, addr, bytes, PAGE_IS_PFNZERO, visit, arg);
	syscall(SYS_close, fd);
	return error;
}

/* ---- a range as a whole ---- */

static void count_region(const struct page_region *region, void *arg)
{
	struct scan *result = arg;
	uint64_t bytes = region->end - region->start;

	result->resident += bytes;
	if (region->categories & PAGE_IS_HUGE)
		result->huge += bytes;
}

int scan_range(const void *addr, size_t bytes, struct scan *result)
{
	int saved = errno;
	int error;

	*result = (struct scan){0};
	error = open_and_scan(addr, bytes, count_region, result);
	errno = saved;
	/* A range that the kernel finds wrong is the caller's mistake.  Anything else, from ENOTTY
	 * of an old kernel to EPERM of a sandbox, means that we have to ask in another way. */
	if (error && error != EINVAL && error != EFAULT && scan_rollup(result) == 0)
		error = 0;
	return error;
}

/* Regions come in the order of their addresses, and several may lie in one unit. */
struct census {
	struct scan *result;
	size_t broken;
	uint64_t next; /* the first unit that may still be counted */
};

static void count_broken(const struct page_region *region, void *arg)
{
	struct census *c = arg;
	uint64_t first = region->start >> machine.unit_shift;
	uint64_t end = ((region->end - 1) >> machine.unit_shift) + 1;

	count_region(region, c->result);
	if (region->categories & PAGE_IS_HUGE)
		return;
	if (first < c->next)
		first = c->next;
	if (end > first) {
		c->broken += end - first;
		c->next = end;
	}
}

int scan_open(int fd, uintptr_t addr, size_t bytes, struct scan *result, size_t *broken)
{
	struct census c = {.result = result};
	int saved = errno;
	int error;

	*result = (struct scan){0};
	error = scan_pagemap(fd, (const void *)addr, bytes, PAGE_IS_PFNZERO, count_broken, &c);
	*broken = c.broken;
	errno = saved;
	return error;
}

int scan_rollup(struct scan *result)
{
	uint64_t anonymous, huge;

	if (!sysfs_field(ROLLUP, "Anonymous", &anonymous) ||
	    !sysfs_field(ROLLUP, "AnonHugePages", &huge))
		return ENODATA;
	*result = (struct scan){
		.resident = anonymous * 1024,
		.huge = huge * 1024,
		.whole_process = true,
	};
	return 0;
}

/* ---- unit by unit ---- */

struct survey {
	uintptr_t start;
	struct kernel_unit *units;
};

/* A region may cover many units, or be a small part of one. */
static void survey_region(const struct page_region *region, void *arg)
{
	struct survey *s = arg;

	for (uint64_t at = region->start; at < region->end;) {
		size_t unit = (at - s->start) >> machine.unit_shift;
		uint64_t unit_end = s->start + ((unit + 1) << machine.unit_shift);
		uint64_t end = region->end < unit_end ? region->end : unit_end;

		s->units[unit].resident += (unsigned)((end - at) >> machine.grain_shift);
		s->units[unit].huge |= (region->categories & PAGE_IS_HUGE) != 0;
		at = end;
	}
}

int scan_units(void *addr, size_t count, struct kernel_unit *units)
{
	struct survey s = {(uintptr_t)addr, units};
	int saved = errno;

	for (size_t i = 0; i < count; i++)
		units[i] = (struct kernel_unit){0};
	int error = open_and_scan(addr, count << machine.unit_shift, survey_region, &s);
	errno = saved;
	return error;
}

/* How many pages of a unit are present and not mapped by us alone, by one word a page in
 * /proc/self/pagemap: bit 63 says that it is present, bit 56 that nobody else maps it.  SIZE_MAX if
 * it cannot be read. */
static size_t count_shared(int fd, uintptr_t addr, size_t pages)
{
	enum { AT_ONCE = 512 };
	const uint64_t present = 1ull << 63, exclusive = 1ull << 56;
	uint64_t words[AT_ONCE];
	size_t shared = 0;

	for (size_t at = 0; at < pages; at += AT_ONCE) {
		size_t n = pages - at < AT_ONCE ? pages - at : AT_ONCE;
		off_t where = (off_t)((addr / machine.page + at) * sizeof(words[0]));

		if (syscall(SYS_pread64, fd, words, n * sizeof(words[0]), where) !=
		    (long)(n * sizeof(words[0])))
			return SIZE_MAX;
		for (size_t i = 0; i < n; i++)
			shared += words[i] & present && !(words[i] & exclusive);
	}
	return shared;
}

static void count_pages(const struct page_region *region, void *arg)
{
	*(size_t *)arg += (region->end - region->start) / machine.page;
}

/* A split leaves the zero page where a subpage held only zeros (K1): shared by all, and no matter.
 */
static bool shares_zero_page_only(int fd, void *unit)
{
	size_t shared = count_shared(fd, (uintptr_t)unit, machine.unit / machine.page), zero = 0;

	if (shared && shared != SIZE_MAX)
		scan_pagemap(fd, unit, machine.unit, 0, count_pages, &zero);
	return shared == zero;
}

bool scan_exclusive(void *unit)
{
	int saved = errno;
	int fd = open_pagemap();
	bool result = false;

	if (fd >= 0) {
		result = shares_zero_page_only(fd, unit);
		syscall(SYS_close, fd);
	}
	errno = saved;
	return result;
}
