/* Waves of allocation near the limit of the memory cgroup that release_cgroup made: what one wave
 * left free must be there for the next, or the kernel kills the program.  The option `delay` is far
 * too long to give back without pressure. */
#include "release_support.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

using namespace release;

namespace
{

constexpr size_t limit = 512 * MiB;
constexpr size_t wave = 320 * MiB;
constexpr size_t big = 4 * MiB;

/* Blocks that fit into no gap that smaller ones left. */
class BigBlocks
{
      public:
	~BigBlocks()
	{
		for (void *p : blocks_)
			free(p);
	}

	void add()
	{
		void *p = malloc(big);

		ASSERT_NE(p, nullptr);
		blocks_.push_back(memset(p, 1, big));
	}

	size_t bytes() const
	{
		return blocks_.size() * big;
	}

      private:
	std::vector<void *> blocks_;
};

class Limit : public testing::TestWithParam<unsigned>
{
      protected:
	void SetUp() override
	{
		ASSERT_NE(getenv("UNSPLIT_CHARGED"), nullptr)
			<< "run it under release_cgroup --limit";
	}

	/* With what is live, more than there is room for beside what was freed. */
	template <typename Wait> void add_big_blocks(Wait &&wait)
	{
		BigBlocks blocks;

		for (; blocks.bytes() < wave && !HasFailure(); blocks.add())
			wait();
	}

	template <typename Wait> void refill(Population &heap, Wait &&wait)
	{
		for (unsigned percent = 10; percent <= 100 && !HasFailure(); percent += 2) {
			wait();
			heap.grow(percent);
		}
	}

	/* `wait` is called before anything that takes a few MiB. */
	template <typename Wait> void make_waves(Wait &&wait)
	{
		Population heap({GetParam(), wave, 18, 1});

		for (int i = 0; i < 5 && !HasFailure(); i++) {
			heap.drain(90);
			add_big_blocks(wait);
			heap.check();
			ASSERT_EQ(heap.damaged(), 0u);
			refill(heap, wait);
		}
		EXPECT_GT(statistic("demoted_units"), 0u);
	}
};

/* The library gives back what it can from 15/16 of the limit on. */
void wait_near_the_limit()
{
	constexpr size_t near = limit / 16 * 15 + 8 * MiB;

	EXPECT_TRUE(wait_until([] { return held() < near; })) << held() / MiB << " MiB held";
}

TEST_P(Limit, MakesItGiveBack)
{
	make_waves(wait_near_the_limit);
}

INSTANTIATE_TEST_SUITE_P(Threads, Limit, testing::Values(1, 8));

} // namespace
