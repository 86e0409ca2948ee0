/* The main promise, seen from inside a preloaded program: a big heap is huge pages, and taking it
 * apart splits none.  Reads /proc/vmstat, so it runs alone (RUN_SERIAL). */
#include "support.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <malloc.h>
#include <thread>
#include <vector>

using namespace support;

namespace
{

constexpr size_t heap_size = 256 * MiB;

/* Written whole, as a program would. */
std::vector<void *> heap_of(size_t size)
{
	std::vector<void *> blocks(heap_size / size);

	for (void *&p : blocks) {
		p = malloc(size);
		memset(p, 1, size);
	}
	return blocks;
}

double huge_share()
{
	return static_cast<double>(rollup("AnonHugePages")) /
	       static_cast<double>(rollup("Anonymous"));
}

/* What the blocks and the list of them need, with a quarter for what a heap needs beside them.
 * An extent lies within one unit, so blocks above a quarter of a unit may leave up to a third of
 * each to other sizes. */
size_t fair_cost(size_t size, const std::vector<void *> &blocks)
{
	size_t bytes = blocks.size() * (size + sizeof(void *));

	return size > 512 * KiB ? bytes * 3 / 2 : bytes * 5 / 4;
}

class Heap : public testing::TestWithParam<size_t>
{
      protected:
	size_t before_;

	void SetUp() override
	{
		malloc_trim(0);
		before_ = rollup("Anonymous");
	}

	size_t grown_by() const
	{
		size_t now = rollup("Anonymous");

		return now > before_ ? now - before_ : 0;
	}
};

TEST_P(Heap, IsHuge)
{
	auto blocks = heap_of(GetParam());

	EXPECT_GE(huge_share(), 0.95);
	EXPECT_LE(grown_by(), fair_cost(GetParam(), blocks))
		<< "a block costs far more than its size";
	for (void *p : blocks)
		free(p);
	malloc_trim(0);
}

/* Every second block, then the rest: units empty slowly and from all sides. */
TEST_P(Heap, IsTakenApartWithoutASplit)
{
	auto blocks = heap_of(GetParam());
	int64_t partial = partial_splits();

	for (size_t i = 0; i < blocks.size(); i += 2)
		free(blocks[i]);
	malloc_trim(0);
	for (size_t i = 1; i < blocks.size(); i += 2)
		free(blocks[i]);
	malloc_trim(0);
	EXPECT_EQ(partial_splits(), partial);
	EXPECT_LT(grown_by(), blocks.size() * sizeof(void *) + 16 * MiB)
		<< "what was freed is held";
}

TEST_P(Heap, IsHugeAgainAfterItWasGivenBack)
{
	for (int round = 0; round < 3; round++) {
		auto blocks = heap_of(GetParam());

		EXPECT_GE(huge_share(), 0.95) << "round " << round;
		for (void *p : blocks)
			free(p);
		malloc_trim(0);
	}
}

INSTANTIATE_TEST_SUITE_P(Sizes, Heap,
                         testing::Values(48, 1000, 10 * KiB, 20 * KiB, 100 * KiB, 700 * KiB,
                                         2 * MiB, 3 * MiB + 4096, 40 * MiB));

TEST(HeapOfThreads, IsHuge)
{
	std::vector<std::vector<void *>> heaps(8);
	std::vector<std::thread> threads;

	for (auto &blocks : heaps) {
		threads.emplace_back([&] {
			Random random(reinterpret_cast<uintptr_t>(&blocks));

			for (size_t total = 0; total < 48 * MiB;) {
				size_t size = random.size(18);

				blocks.push_back(memset(malloc(size), 1, size));
				total += size;
			}
		});
	}
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_GE(huge_share(), 0.95);
	for (auto &blocks : heaps) {
		for (void *p : blocks)
			free(p);
	}
}

/* With huge:off: the control that the share of the tests above is the shim's doing. */
TEST(BaseHeap, HasNoHugePage)
{
	auto blocks = heap_of(20 * KiB);

	EXPECT_EQ(rollup("AnonHugePages"), 0u);
	for (void *p : blocks)
		free(p);
}

} // namespace
