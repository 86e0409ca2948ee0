// How many units hold something, and the most since somebody last asked.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "fake_kernel.h"
#include "random.h"

extern "C" {
#include "pmd/demand.h"
}

namespace
{

TEST(Demand, RisesAndFalls)
{
	fake::Kernel fake;

	EXPECT_EQ(demand_now(), 0u);
	demand_rise(3);
	demand_rise(2);
	EXPECT_EQ(demand_now(), 5u);
	demand_fall(4);
	EXPECT_EQ(demand_now(), 1u);
}

TEST(Demand, PeakIsSinceTheLastQuestion)
{
	fake::Kernel fake;

	demand_rise(10);
	demand_fall(7);
	EXPECT_EQ(demand_peak(), 10u);
	EXPECT_EQ(demand_peak(), 3u) << "a new period begins at what is held";
	demand_rise(2);
	demand_fall(5);
	EXPECT_EQ(demand_peak(), 5u);
	EXPECT_EQ(demand_peak(), 0u);
}

TEST(Demand, AddsUpFromManyThreads)
{
	fake::Kernel fake;
	std::vector<std::thread> threads;
	constexpr unsigned THREADS = 4;

	for (unsigned t = 0; t < THREADS; t++)
		threads.emplace_back([] {
			for (size_t i = 0; i < test::effort(100000); i++) {
				demand_rise(3);
				demand_fall(3);
			}
			demand_rise(1);
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(demand_now(), THREADS);
	uint64_t peak = demand_peak();
	EXPECT_GE(peak, THREADS);
	EXPECT_LE(peak, THREADS * 4);
	EXPECT_EQ(demand_peak(), THREADS);
}

} // namespace
