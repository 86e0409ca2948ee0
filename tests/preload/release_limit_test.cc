/* Waves of allocation near the limit of the memory cgroup that release_cgroup made: what one wave
 * left free must be there for the next, or the kernel kills the program. */
#include "release_support.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

using namespace release;

namespace
{

constexpr size_t limit = 256 * MiB;
constexpr size_t wave = 160 * MiB;

/* Blocks that fit into no gap that smaller ones left. */
std::vector<void *> big_blocks(size_t bytes)
{
	std::vector<void *> blocks(bytes / (4 * MiB));

	for (void *&p : blocks) {
		p = memset(malloc(4 * MiB), 1, 4 * MiB);
		/* The kernel kills who is faster than the help. */
		usleep(5000);
	}
	return blocks;
}

class Limit : public testing::TestWithParam<unsigned>
{
};

TEST_P(Limit, IsSurvivedByGivingBack)
{
	ASSERT_NE(getenv("UNSPLIT_CHARGED"), nullptr) << "run it under release_cgroup --limit";
	Population heap({GetParam(), wave, 18, 1});

	for (int i = 0; i < 5; i++) {
		heap.drain(90);
		/* With what is live, more than there is room for beside what was freed. */
		std::vector<void *> blocks = big_blocks(wave);

		EXPECT_LT(held(), limit);
		heap.check();
		ASSERT_EQ(heap.damaged(), 0u);
		for (void *p : blocks)
			free(p);
		heap.grow();
	}
	EXPECT_GT(statistic("demoted_units"), 0u);
}

INSTANTIATE_TEST_SUITE_P(Threads, Limit, testing::Values(1, 8));

} // namespace
