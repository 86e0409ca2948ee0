/*
 * scan.c: resident and huge bytes by ioctl(PAGEMAP_SCAN), or by smaps_rollup where that is missing.
 */
#include "kernel/scan.h"

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

static void count_regions(const struct page_region *regions, int count, struct scan *result)
{
	for (int i = 0; i < count; i++) {
		uint64_t bytes = regions[i].end - regions[i].start;

		result->resident += bytes;
		if (regions[i].categories & PAGE_IS_HUGE)
			result->huge += bytes;
	}
}

/* The zero pages are present, and the huge one is huge as well (K2), but no memory stands behind
 * them: they are left out. */
static int scan_pagemap(int fd, const void *addr, size_t bytes, struct scan *result)
{
	struct page_region regions[REGIONS];
	uint64_t end = (uintptr_t)addr + bytes;
	struct pm_scan_arg arg = {
	    .size = sizeof(arg),
	    .start = (uintptr_t)addr,
	    .end = end,
	    .vec = (uintptr_t)regions,
	    .vec_len = REGIONS,
	    .category_inverted = PAGE_IS_PFNZERO,
	    .category_mask = PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
	    .return_mask = PAGE_IS_PRESENT | PAGE_IS_HUGE,
	};

	/* A full array ends a call before the end of the range. */
	for (; arg.start < end; arg.start = arg.walk_end) {
		int count = ioctl(fd, PAGEMAP_SCAN, &arg);

		if (count < 0)
			return errno;
		if (arg.walk_end <= arg.start)
			return EIO;
		count_regions(regions, count, result);
	}
	return 0;
}

static int open_and_scan(const void *addr, size_t bytes, struct scan *result)
{
	/* Bare system calls: open() and close() are cancellation points, and a thread that is
	 * cancelled between them would leave the descriptor behind. */
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return errno;
	error = scan_pagemap(fd, addr, bytes, result);
	syscall(SYS_close, fd);
	return error;
}

int scan_range(const void *addr, size_t bytes, struct scan *result)
{
	int saved = errno;
	int error;

	*result = (struct scan){0};
	error = open_and_scan(addr, bytes, result);
	errno = saved;
	/* A range that the kernel finds wrong is the caller's mistake.  Anything else, from ENOTTY
	 * of an old kernel to EPERM of a sandbox, means that we have to ask in another way. */
	if (error && error != EINVAL && error != EFAULT && scan_rollup(result) == 0)
		error = 0;
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
