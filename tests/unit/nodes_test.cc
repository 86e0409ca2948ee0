// On which NUMA node memory lies: the census of the report, and what the kernel itself says.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "fake_kernel.h"

extern "C" {
#include "report/report_nodes.h"
}

namespace
{

constexpr size_t MIB = 1 << 20;

// What an emitter makes of the nodes.
std::string table(enum emitter_format format, const std::vector<struct report_range> &ranges)
{
	int fd = memfd_create("nodes", MFD_CLOEXEC);
	struct emitter e;

	emitter_start(&e, fd, format, "T");
	report_nodes(&e, ranges.data(), ranges.size());
	EXPECT_EQ(emitter_finish(&e), 0);
	std::string text(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');
	EXPECT_EQ(pread(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
	close(fd);
	return text;
}

class Nodes : public testing::Test
{
      protected:
	void SetUp() override
	{
		fake.nodes = 2;
	}

	// Usable memory on a node, of which the first `touched` bytes were.
	struct report_range range(size_t bytes, size_t touched, struct placement where)
	{
		char *addr = static_cast<char *>(kernel->reserve(nullptr, bytes + machine.unit));

		addr = reinterpret_cast<char *>((uintptr_t(addr) + machine.unit - 1) &
		                                -machine.unit);
		EXPECT_EQ(kernel->make_usable(addr, bytes), 0);
		kernel->place(addr, bytes, &where);
		for (size_t at = 0; at < touched; at += machine.page)
			addr[at] = 1;
		return {"test", addr, bytes};
	}

	static struct placement on(unsigned node)
	{
		return {placement::PLACE_ON, node};
	}

	std::vector<uint64_t> census(const std::vector<struct report_range> &ranges)
	{
		auto found = std::make_unique<struct node_census>();

		EXPECT_EQ(nodes_census(ranges.data(), ranges.size(), found.get()), 0);
		return {found->bytes, found->bytes + 3};
	}

	fake::Kernel fake;
};

TEST_F(Nodes, BytesAreThoseThatAreBacked)
{
	EXPECT_EQ(census({range(16 * MIB, 16 * MIB, on(1))}),
	          (std::vector<uint64_t>{0, 16 * MIB, 0}));
	EXPECT_EQ(census({range(16 * MIB, 6 * MIB, on(0))}),
	          (std::vector<uint64_t>{6 * MIB, 0, 0}));
	EXPECT_EQ(census({range(16 * MIB, 0, on(0))}), (std::vector<uint64_t>{0, 0, 0}));
	EXPECT_EQ(census({}), (std::vector<uint64_t>{0, 0, 0}));
}

TEST_F(Nodes, RangesAreAddedUp)
{
	EXPECT_EQ(census({range(4 * MIB, 4 * MIB, on(0)), range(8 * MIB, 8 * MIB, on(1)),
	                  range(2 * MIB, 2 * MIB, on(0))}),
	          (std::vector<uint64_t>{6 * MIB, 8 * MIB, 0}));
	EXPECT_EQ(census({range(16 * MIB, 16 * MIB, {placement::PLACE_INTERLEAVED, 0})}),
	          (std::vector<uint64_t>{8 * MIB, 8 * MIB, 0}));
}

// Every 16th page of 64 MiB: whatever the places of the samples are, they are not in step with it.
TEST_F(Nodes, PartlyBackedUnitsAreEstimated)
{
	struct report_range r = range(64 * MIB, 0, on(1));

	kernel->advise_base(const_cast<void *>(r.addr), r.bytes);
	for (size_t at = 0; at < r.bytes; at += 16 * machine.page)
		static_cast<volatile char *>(const_cast<void *>(r.addr))[at] = 1;
	EXPECT_NEAR(double(census({r})[1]), 4.0 * MIB, 2.0 * MIB);
}

TEST_F(Nodes, OneSampleStandsForMoreWhereThereIsMuch)
{
	struct report_range r = range(12ul << 30, 0, on(1));
	size_t most = 65536 * machine.page, asked = 0;

	fake.forget_events();
	census({r});
	for (const fake::Event &event : fake.events(fake::LOCATE))
		asked += event.bytes;
	EXPECT_LE(asked, most);
	EXPECT_GT(asked, most / 4);
}

TEST_F(Nodes, Text)
{
	EXPECT_EQ(table(EMITTER_TEXT, {range(4 * MIB, 4 * MIB, on(1))}),
	          "T\n\nNUMA nodes, by sampling\n"
	          "  node                heap\n"
	          "  0                0 bytes\n"
	          "  1               4.00 MiB\n");
}

TEST_F(Nodes, Json)
{
	EXPECT_EQ(table(EMITTER_JSON, {range(4 * MIB, 4 * MIB, on(0))}),
	          "{\n  \"nodes\": [\n    {\n      \"node\": 0,\n      \"heap\": 4194304\n    },\n"
	          "    {\n      \"node\": 1,\n      \"heap\": 0\n    }\n  ]\n}\n");
}

TEST_F(Nodes, OneNodeIsNotWorthATable)
{
	fake.nodes = 1;
	EXPECT_EQ(table(EMITTER_JSON, {range(4 * MIB, 4 * MIB, on(0))}), "{}\n");
	EXPECT_EQ(fake.count(fake::LOCATE), 0u);
}

TEST_F(Nodes, WhatTheKernelRefusesIsUnknownAndNotZero)
{
	fake.fail_always(fake::LOCATE, EPERM);
	EXPECT_EQ(table(EMITTER_TEXT, {range(4 * MIB, 4 * MIB, on(0))}),
	          "T\n\nNUMA nodes, by sampling\n"
	          "  node                heap\n"
	          "  0                      -\n"
	          "  1                      -\n");
}

// The real kernel.
TEST(RealNodes, AreToldOfWhatIsInMemoryOnly)
{
	size_t page = size_t(sysconf(_SC_PAGESIZE));
	char *area = static_cast<char *>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE,
	                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	void *pages[] = {area, area + page};
	int nodes[] = {-1, -1};

	area[0] = 1;
	errno = EXDEV;
	int error = kernel_linux.locate(pages, 2, nodes);
	EXPECT_EQ(errno, EXDEV);
	munmap(area, 2 * page);
	if (error == ENOSYS || error == EPERM)
		GTEST_SKIP() << "this machine does not tell";
	EXPECT_EQ(error, 0);
	EXPECT_GE(nodes[0], 0);
	EXPECT_LT(nodes[0], int(kernel_linux.nodes()));
	EXPECT_LT(nodes[1], 0);
}

} // namespace
