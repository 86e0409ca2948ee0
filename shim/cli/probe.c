/* probe.c: the checks of `unsplit doctor` that try it out. */
#include "cli/check.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "kernel/kernel.h"
#include "kernel/scan.h"

#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED (1 << 1)
#endif

enum { UNITS = 2 }; /* what the trial maps: 4 MiB on x86-64 */

static char *align_up(char *p)
{
	return p + (-(uintptr_t)p & (machine.unit - 1));
}

/* Aligned, advised memory as the shim makes it, every page touched.  0 or why not. */
static int take_units(char **result)
{
	size_t bytes = UNITS * machine.unit;
	char *base = kernel->reserve(NULL, bytes + machine.unit);
	int error;

	if (!base)
		return ENOMEM;
	base = align_up(base);
	error = kernel->make_usable(base, bytes);
	if (error)
		return error;
	/* Refused advice is not the end: under "always" the memory may be huge all the same. */
	kernel->advise_huge(base, bytes);
	for (size_t i = 0; i < bytes; i += machine.page)
		((volatile char *)base)[i] = 1;
	*result = base;
	return 0;
}

struct check check_given(const struct host *h)
{
	struct scan scan = {0};
	char *base = NULL;
	int error;

	machine_init();
	error = take_units(&base);
	if (!error)
		error = scan_range(base, UNITS * machine.unit, &scan);
	if (error)
		return (struct check){CHECK_BAD,
		                      text("tried it: the trial failed: %s", strerror(error)),
		                      "allow this process some MiB of memory and /proc/self"};
	if (!scan.huge)
		return (struct check){CHECK_BAD,
		                      text("tried it: of %s asked for, none is on huge pages",
		                           bytes_text(UNITS * machine.unit)),
		                      NULL};
	if (!scan.whole_process && scan.huge < UNITS * machine.unit)
		return (struct check){CHECK_WARN,
		                      text("tried it: of %s asked for, only %s is on huge pages",
		                           bytes_text(UNITS * machine.unit), bytes_text(scan.huge)),
		                      "echo 1 | sudo tee /proc/sys/vm/compact_memory"};
	return (struct check){CHECK_OK,
	                      text("tried it: %s asked for, and given on huge pages",
	                           bytes_text(UNITS * machine.unit)),
	                      NULL};
}

static bool has_pagemap_scan(void)
{
	struct scan scan;
	uintptr_t stack = (uintptr_t)&scan & ~(uintptr_t)(machine.page - 1);

	return scan_range((void *)stack, machine.page, &scan) == 0 && !scan.whole_process;
}

/* Asked for an address where nothing is mapped, a kernel that knows the call says ENOMEM, and one
 * that does not EINVAL. */
static bool has_collapse(void)
{
	char *hole = kernel->reserve(NULL, 2 * machine.unit);

	if (!hole)
		return false;
	kernel->unreserve(hole, 2 * machine.unit);
	return kernel->collapse(align_up(hole)) != EINVAL;
}

/* There is no way to ask but to set it.  Nothing is undone that a parent has set. */
static bool has_except_advised(void)
{
	int before = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);

	if (before)
		return before == (1 | PR_THP_DISABLE_EXCEPT_ADVISED);
	if (prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) != 0)
		return false;
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	return true;
}

struct check check_features(const struct host *h)
{
	struct utsname name;

	machine_init();
	uname(&name);
	return (struct check){CHECK_OK,
	                      text("kernel %s: PAGEMAP_SCAN %s (since 6.7), MADV_COLLAPSE %s "
	                           "(6.1), PR_THP_DISABLE_EXCEPT_ADVISED %s (6.18)",
	                           name.release, has_pagemap_scan() ? "yes" : "no",
	                           has_collapse() ? "yes" : "no",
	                           has_except_advised() ? "yes" : "no"),
	                      NULL};
}
