/*
 * scan.h: what the kernel really gave: resident and huge bytes of an address range.
 */
#ifndef UNSPLIT_KERNEL_SCAN_H
#define UNSPLIT_KERNEL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scan {
	uint64_t resident;  /* bytes mapped to memory of ours, huge or not; the zero page is not */
	uint64_t huge;      /* bytes of it that are mapped by PMD pages */
	bool whole_process; /* the kernel has no PAGEMAP_SCAN: the figures are smaps_rollup's, for
	                     * the whole process, not for the range */
};

/* Ask for [addr, addr+bytes) of this process: ioctl(PAGEMAP_SCAN) (kernel >= 6.7, K7), else
 * smaps_rollup.  Returns 0 or an errno value.  Allocates nothing, keeps errno, thread-safe. */
int scan_range(const void *addr, size_t bytes, struct scan *result);
/* The same of any process whose /proc/PID/pagemap is open as `fd`, by PAGEMAP_SCAN alone.  *broken
 * becomes the number of units of the range that are backed, but not by one huge page; a unit of
 * which the range holds only part counts too. */
int scan_open(int fd, uintptr_t addr, size_t bytes, struct scan *result, size_t *broken);
/* The fallback alone, so that tests reach it. */
int scan_rollup(struct scan *result);

struct kernel_unit;
/* For each of `count` units from addr on (unit-aligned): how much of it is resident, and whether it
 * is one huge page.  Returns 0, or an errno value where the kernel has no PAGEMAP_SCAN. */
int scan_units(void *addr, size_t count, struct kernel_unit *units);
/* Whether no other process maps a page of this unit: false while a forked child shares it, and if
 * the kernel will not say. */
bool scan_exclusive(void *unit);

#endif
