/* check.c: the checks of `unsplit doctor` that read files, and those of the process. */
#include "cli/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cgroup.h"
#include "cli/cli.h"
#include "cli/host_nodes.h"
#include "kernel/sysfs.h"

#define MIB (1ul << 20)

struct check found_nothing(void)
{
	return (struct check){CHECK_SILENT, "", NULL};
}

struct check found_ok(const char *what)
{
	return (struct check){CHECK_OK, what, NULL};
}

struct check found_warning(const char *what, const char *remedy)
{
	return (struct check){CHECK_WARN, what, remedy};
}

struct check found_bad(const char *what, const char *remedy)
{
	return (struct check){CHECK_BAD, what, remedy};
}

const char *bytes_text(uint64_t bytes)
{
	static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	int i = 0;

	for (; value >= 1024; i++)
		value /= 1024;
	return text("%.4g %s", value, names[i]);
}

const char *host_path(const struct host *h, const char *path)
{
	return text("%s%s", h->root, path);
}

void host_init(struct host *h, const char *root)
{
	h->root = root;
	h->unit = 0;
	sysfs_number(host_path(h, SYSFS_THP "hpage_pmd_size"), &h->unit);
}

struct check check_size(const struct host *h)
{
	if (!h->unit)
		return found_bad("this kernel has no huge pages of the transparent kind",
		                 "boot a kernel that is built with CONFIG_TRANSPARENT_HUGEPAGE=y");
	if (h->unit > 32 * MIB)
		return found_bad(
			text("a huge page has %s here, too much for a heap", bytes_text(h->unit)),
			"boot a kernel with base pages of 4 KiB");
	return found_ok(text("a huge page has %s here", bytes_text(h->unit)));
}

const char *write_knob(const char *value, const char *knob)
{
	return text("echo %s | sudo tee %s", value, knob);
}

/* Since 6.8 each size has its own knob, which may pass the question on. */
static const char *mode_knob(const struct host *h, char *mode, size_t size)
{
	const char *knob = text(SYSFS_THP "hugepages-%lukB/enabled", (unsigned long)h->unit / 1024);

	if (sysfs_choice(host_path(h, knob), mode, size) && strcmp(mode, "inherit") != 0)
		return knob;
	knob = SYSFS_THP "enabled";
	return sysfs_choice(host_path(h, knob), mode, size) ? knob : NULL;
}

struct check check_mode(const struct host *h)
{
	char mode[32];
	const char *knob = mode_knob(h, mode, sizeof(mode));

	if (!knob)
		return found_bad(SYSFS_THP "enabled cannot be read", "mount sysfs on /sys");
	if (strcmp(mode, "never") == 0)
		return found_bad(text("%s is \"never\": no program gets huge pages", knob),
		                 write_knob("madvise", knob));
	if (strcmp(mode, "madvise") == 0)
		return found_ok(
			text("%s is \"madvise\": who asks gets huge pages, and we ask", knob));
	return found_ok(text("%s is \"%s\": every big mapping gets huge pages", knob, mode));
}

/* Does a page fault that finds no free huge page move memory to make one? */
static bool faults_compact(const struct host *h)
{
	char mode[32];

	return !sysfs_choice(host_path(h, SYSFS_THP "defrag"), mode, sizeof(mode)) ||
	       (strcmp(mode, "never") != 0 && strcmp(mode, "defer") != 0);
}

struct check check_defrag(const struct host *h)
{
	char mode[32];

	if (!sysfs_choice(host_path(h, SYSFS_THP "defrag"), mode, sizeof(mode)))
		return found_nothing();
	if (faults_compact(h))
		return found_ok(
			text("defrag is \"%s\": a page fault makes room for a huge page", mode));
	return found_warning(
		text("defrag is \"%s\": a page fault takes a huge page only if one is free", mode),
		write_knob("madvise", SYSFS_THP "defrag"));
}

struct check check_free_blocks(const struct host *h)
{
	uint64_t units;

	if (!h->unit || !host_free_units(h, ALL_NODES, &units))
		return found_nothing();
	if (units)
		return found_ok(text("%lu huge pages (%s) could be had from free memory now",
		                     (unsigned long)units, bytes_text(units * h->unit)));
	return found_warning(
		faults_compact(h)
			? "free memory is in pieces smaller than a huge page (/proc/buddyinfo)"
			: "free memory is in pieces smaller than a huge page (/proc/buddyinfo), "
			  "and defrag does not let a page fault put them together",
		write_knob("1", "/proc/sys/vm/compact_memory"));
}

struct check check_overcommit(const struct host *h)
{
	uint64_t mode = 0, limit = 0, committed = 0, left;

	if (!sysfs_number(host_path(h, "/proc/sys/vm/overcommit_memory"), &mode) || mode != 2)
		return found_nothing();
	sysfs_field(host_path(h, "/proc/meminfo"), "CommitLimit", &limit);
	sysfs_field(host_path(h, "/proc/meminfo"), "Committed_AS", &committed);
	left = limit > committed ? (limit - committed) * 1024 : 0;
	if (left < 16 * MIB)
		return found_bad(text("overcommit_memory is 2, and only %s may still be promised",
		                      bytes_text(left)),
		                 "sudo sysctl vm.overcommit_memory=0");
	return found_warning(
		text("overcommit_memory is 2: memory is counted when it is promised, and %s is "
	             "left",
	             bytes_text(left)),
		"sudo sysctl vm.overcommit_memory=0");
}

struct check check_khugepaged(const struct host *h)
{
	uint64_t pages, sleep, holes, defrag = 1;

	if (!sysfs_number(host_path(h, SYSFS_THP "khugepaged/pages_to_scan"), &pages) ||
	    !sysfs_number(host_path(h, SYSFS_THP "khugepaged/scan_sleep_millisecs"), &sleep) ||
	    !sysfs_number(host_path(h, SYSFS_THP "khugepaged/max_ptes_none"), &holes))
		return found_nothing();
	sysfs_number(host_path(h, SYSFS_THP "khugepaged/defrag"), &defrag);
	if (!defrag)
		return found_warning(
			"khugepaged makes no room for huge pages: what starts on base pages "
			"may stay there",
			write_knob("1", SYSFS_THP "khugepaged/defrag"));
	return found_ok(
		text("khugepaged looks at %lu pages every %lu ms, and makes a unit huge that lacks "
	             "at most %lu pages",
	             (unsigned long)pages, (unsigned long)sleep, (unsigned long)holes));
}

/* The name of the process that started us, who may have set what we inherited. */
static const char *parent_name(void)
{
	char name[64];

	if (sysfs_read(text("/proc/%d/comm", (int)getppid()), name, sizeof(name)) <= 0)
		return text("process %d", (int)getppid());
	name[strcspn(name, "\n")] = '\0';
	return text("process %d, \"%s\"", (int)getppid(), name);
}

struct check check_process_flag(const struct host *h)
{
	enum { DISABLED = 1, EXCEPT_ADVISED = 3 }; /* K6 */
	int flag = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);

	if (flag == DISABLED)
		return found_bad(
			"a parent has turned huge pages off for this process "
			"(PR_SET_THP_DISABLE), and children inherit that",
			text("start the program from elsewhere, or have the parent (%s) call "
		             "prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)",
		             parent_name()));
	if (flag == EXCEPT_ADVISED)
		return found_ok("a parent allows huge pages to who asks only, and we ask "
		                "(PR_THP_DISABLE_EXCEPT_ADVISED)");
	return found_ok("no parent has turned huge pages off for this process (prctl)");
}

struct check check_address_space(const struct host *h)
{
	struct rlimit limit;
	uint64_t used = 0, left;

	if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return found_nothing();
	sysfs_field("/proc/self/status", "VmSize", &used);
	used *= 1024;
	left = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
	if (left < 64 * MIB)
		return found_bad(
			text("RLIMIT_AS leaves %s of address space, too little for aligned "
		             "memory",
		             bytes_text(left)),
			"ulimit -v unlimited");
	return found_warning(text("RLIMIT_AS limits the address space to %s; we reserve less then",
	                          bytes_text(limit.rlim_cur)),
	                     "ulimit -v unlimited");
}

static struct cgroup_limit tightest_limit(const struct host *h)
{
	struct cgroup_limit t = {NULL, 0, 0};
	struct cgroup g;

	if (cgroup_open(&g, h->root, host_path(h, "/proc/self/cgroup")))
		t = cgroup_tightest(&g);
	cgroup_close(&g);
	return t;
}

struct check check_cgroup(const struct host *h)
{
	struct cgroup_limit t = tightest_limit(h);
	const char *remedy;

	if (!t.file)
		return found_ok("no memory cgroup limits this process");
	remedy = text("raise the limit in %s", t.file);
	if (t.left < 2 * h->unit)
		return found_bad(
			text("the memory cgroup has %s left of %s: no room for a huge page",
		             bytes_text(t.left), bytes_text(t.limit)),
			remedy);
	if (t.left < 64 * MIB)
		return found_warning(text("the memory cgroup has only %s left of %s",
		                          bytes_text(t.left), bytes_text(t.limit)),
		                     remedy);
	return found_ok(text("the memory cgroup has %s left of %s", bytes_text(t.left),
	                     bytes_text(t.limit)));
}
