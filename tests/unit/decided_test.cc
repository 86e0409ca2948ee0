// What is kept of a decision is read whole, or not at all.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

extern "C" {
#include "site/decided.h"
#include "site/rules.h"
}

namespace
{

const rules some = {}, others = {};

TEST(Decided, HoldsForTheSameRulesAndTheSameThing)
{
	decided d = {};
	const uint64_t written[2] = {3, 5};
	uint64_t bits[2] = {7, 7};
	const int thing = 0, another = 0;

	EXPECT_FALSE(decided_read(&d, &some, &thing, bits)) << "nothing was decided";
	decided_write(&d, &some, &thing, written);
	ASSERT_TRUE(decided_read(&d, &some, &thing, bits));
	EXPECT_TRUE(bits[0] == 3 && bits[1] == 5);
	EXPECT_FALSE(decided_read(&d, &others, &thing, bits));
	EXPECT_FALSE(decided_read(&d, &some, &another, bits));
	decided_write(&d, &others, &another, written);
	EXPECT_FALSE(decided_read(&d, &some, &thing, bits));
	EXPECT_TRUE(decided_read(&d, &others, &another, bits));
}

// A thread was stopped, or lost in a fork, in the middle of writing.
TEST(Decided, WhatIsHalfWrittenIsNeitherReadNorWritten)
{
	decided d = {};
	const uint64_t written[2] = {3, 5};
	uint64_t bits[2];

	decided_write(&d, &some, nullptr, written);
	d.version++;
	EXPECT_FALSE(decided_read(&d, &some, nullptr, bits));
	decided_write(&d, &others, nullptr, written);
	EXPECT_EQ(d.by, &some);
}

TEST(Decided, ThreadsNeverSeeWhatBelongsToOthers)
{
	constexpr int threads = 4, rounds = 200000;
	static decided d = {};
	static int things[threads];
	std::atomic<int> wrong{0}, seen{0};
	std::vector<std::thread> crew;

	for (int t = 0; t < threads; t++)
		crew.emplace_back([&, t] {
			const uint64_t mine[2] = {uint64_t(t) + 1, ~uint64_t(t)};
			uint64_t bits[2];

			for (int i = 0; i < rounds; i++) {
				decided_write(&d, t % 2 ? &some : &others, &things[t], mine);
				if (!decided_read(&d, t % 2 ? &some : &others, &things[t], bits))
					continue;
				seen++;
				wrong += bits[0] != mine[0] || bits[1] != mine[1];
			}
		});
	for (std::thread &thread : crew)
		thread.join();
	EXPECT_EQ(wrong, 0);
	EXPECT_GT(seen, 0);
}

} // namespace
