// What scan_range() says of memory whose state we know, on the running kernel.
extern "C" {
#include "kernel/kernel.h"
#include "kernel/scan.h"
}

#include "no_pagemap_scan.h"
#include "real_memory.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

using namespace real_memory;

namespace
{

// PAGEMAP_SCAN came with Linux 6.7.
bool kernel_has_pagemap_scan()
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	uname(&name);
	EXPECT_EQ(sscanf(name.release, "%u.%u", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 7);
}

struct scan scan_of(const void *addr, size_t bytes)
{
	struct scan result = {};

	EXPECT_EQ(scan_range(addr, bytes, &result), 0);
	EXPECT_EQ(result.whole_process, !kernel_has_pagemap_scan());
	return result;
}

struct scan scan_of(const Area &area)
{
	return scan_of(area.addr(), area.bytes());
}

// The figures of one range, or, where only those of the whole process can be had, at least these.
void expect_scan(const struct scan &scan, size_t resident, size_t huge)
{
	if (scan.whole_process) {
		EXPECT_GE(scan.resident, resident);
		EXPECT_GE(scan.huge, huge);
	} else {
		EXPECT_EQ(scan.resident, resident);
		EXPECT_EQ(scan.huge, huge);
	}
}

} // namespace

TEST(Scan, CountsTouchedBasePagesExactly)
{
	Area area(64 * page_size(), PROT_READ | PROT_WRITE);

	area.advise(MADV_NOHUGEPAGE);
	expect_scan(scan_of(area), 0, 0);
	area.touch(7); // pages 0, 7, ... 63
	expect_scan(scan_of(area), 10 * page_size(), 0);
}

// Every second page is a region of its own, and there are more than one call can report.
TEST(Scan, GoesOnWhereAFullArrayStopped)
{
	Area area(4096 * page_size(), PROT_READ | PROT_WRITE);

	area.advise(MADV_NOHUGEPAGE);
	area.touch(2);
	expect_scan(scan_of(area), 2048 * page_size(), 0);
}

TEST(Scan, SeesOnlyTheRange)
{
	Area area(16 * page_size(), PROT_READ | PROT_WRITE);

	area.advise(MADV_NOHUGEPAGE);
	area.touch(1);
	expect_scan(scan_of(area.addr() + 4 * page_size(), 3 * page_size()), 3 * page_size(), 0);
}

TEST(Scan, FindsHugePagesWhereTheSystemGivesThem)
{
	Area area(2 * unit_size(), PROT_READ | PROT_WRITE);

	area.advise(MADV_HUGEPAGE);
	area.touch(1);
	expect_scan(scan_of(area), area.bytes(), huge_when_advised() ? area.bytes() : 0);
}

// A read maps zero pages, the huge one where memory is advised (K2).  They are present, but they
// are nobody's memory.
TEST(Scan, DoesNotCountTheZeroPages)
{
	for (int advice : {MADV_HUGEPAGE, MADV_NOHUGEPAGE}) {
		Area area(unit_size(), PROT_READ | PROT_WRITE);
		uint64_t entry = 0;
		int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

		area.advise(advice);
		EXPECT_EQ(*const_cast<volatile char *>(area.addr()), 0);
		auto page = reinterpret_cast<uintptr_t>(area.addr()) / page_size();
		EXPECT_EQ(
			pread(fd, &entry, sizeof(entry), static_cast<off_t>(page * sizeof(entry))),
			static_cast<ssize_t>(sizeof(entry)));
		EXPECT_EQ(entry >> 63, 1u) << "no page is mapped, so this test would prove nothing";
		close(fd);
		expect_scan(scan_of(area), 0, 0);
	}
}

// Every unit counts once, in however many pieces it is backed; whole ones do not count.
TEST(ScanOpen, CountsBrokenUnits)
{
	Area area(5 * unit_size(), PROT_READ | PROT_WRITE);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct scan scan;
	size_t broken = 9;

	machine_init();
	area.advise(MADV_NOHUGEPAGE);
	for (size_t at : {size_t{0}, size_t{7}, 2 * unit_size() / page_size() - 1})
		area.addr()[at * page_size()] = 1; // two pages of unit 0, one of unit 1
	ASSERT_EQ(madvise(area.addr() + 3 * unit_size(), unit_size(), MADV_HUGEPAGE), 0);
	area.addr()[3 * unit_size()] = 1;
	int error = scan_open(fd, reinterpret_cast<uintptr_t>(area.addr()), area.bytes(), &scan,
	                      &broken);
	close(fd);
	if (!kernel_has_pagemap_scan()) {
		EXPECT_NE(error, 0);
		return;
	}
	EXPECT_EQ(error, 0);
	bool huge = huge_when_advised();
	EXPECT_EQ(broken, huge ? 2u : 3u);
	EXPECT_EQ(scan.huge, huge ? unit_size() : 0);
	EXPECT_EQ(scan.resident, 3 * page_size() + (huge ? unit_size() : page_size()));
}

TEST(Scan, ReservedMemoryIsNothing)
{
	Area area(4 * unit_size(), PROT_NONE);

	expect_scan(scan_of(area), 0, 0);
}

TEST(Scan, AnEmptyRangeIsNothing)
{
	struct scan scan = {1, 1, true};

	EXPECT_EQ(scan_range(nullptr, 0, &scan), 0);
	EXPECT_EQ(scan.resident, 0u);
	EXPECT_EQ(scan.huge, 0u);
}

TEST(Scan, AnUnalignedRangeIsAnError)
{
	struct scan scan;
	Area area(page_size(), PROT_READ);

	if (kernel_has_pagemap_scan())
		EXPECT_EQ(scan_range(area.addr() + 1, 1, &scan), EINVAL);
	else
		EXPECT_EQ(scan_range(area.addr() + 1, 1, &scan), 0);
}

TEST(Scan, KeepsErrnoAndLeavesNoDescriptor)
{
	Area area(page_size(), PROT_READ);
	int before = dup(0);

	close(before);
	errno = EXDEV;
	scan_of(area);
	EXPECT_EQ(errno, EXDEV);
	int after = dup(0);
	EXPECT_EQ(after, before);
	close(after);
}

TEST(Scan, SaysSoWhenThereIsNoDescriptorLeft)
{
	struct rlimit old, none;
	struct scan scan;
	Area area(page_size(), PROT_READ);

	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	errno = EXDEV;
	int error = scan_range(area.addr(), area.bytes(), &scan);
	int kept = errno;
	int rollup_error = scan_rollup(&scan);
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
	EXPECT_EQ(error, EMFILE);
	EXPECT_EQ(kept, EXDEV);
	EXPECT_NE(rollup_error, 0);
}

TEST(ScanRollup, CountsTheWholeProcess)
{
	Area area(8 * unit_size(), PROT_READ | PROT_WRITE);
	struct scan before, after;

	area.advise(MADV_HUGEPAGE);
	ASSERT_EQ(scan_rollup(&before), 0);
	EXPECT_TRUE(before.whole_process);
	EXPECT_GT(before.resident, 0u);
	area.touch(1);
	ASSERT_EQ(scan_rollup(&after), 0);
	EXPECT_GE(after.resident, before.resident + area.bytes());
	EXPECT_EQ(after.huge, before.huge + (huge_when_advised() ? area.bytes() : 0));
}

TEST(ScanDeathTest, AnOldKernelAnswersForTheWholeProcess)
{
	auto answers = [] {
		Area area(16 * page_size(), PROT_NONE);
		struct scan scan = {0, 0, false};

		return forbid_pagemap_scan() && scan_range(area.addr(), area.bytes(), &scan) == 0 &&
		       scan.whole_process && scan.resident > 0;
	};

	EXPECT_EXIT(_exit(answers() ? 0 : 1), testing::ExitedWithCode(0), "");
}
