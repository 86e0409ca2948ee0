// The ranks of a ledger's units against a map, and that nothing that was told is ever missed.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "fake_kernel.h"
#include "random.h"

extern "C" {
#include "pmd/ranks.h"
}

namespace
{

using test::Random;

class Ranks : public testing::Test
{
      protected:
	static constexpr size_t UNITS = 300000; // more than one group on the highest level

	Ranks()
	{
		EXPECT_EQ(ranks_open(&r, UNITS), 0);
		EXPECT_EQ(ranks_need(&r, UNITS), 0);
	}
	void note(size_t unit, unsigned rank)
	{
		ranks_note(&r, unit, rank);
		model[unit] = rank;
	}
	std::set<size_t> unseen()
	{
		std::set<size_t> seen;

		ranks_each_unseen(
			&r,
			[](void *s, size_t unit) {
				EXPECT_TRUE(
					static_cast<std::set<size_t> *>(s)->insert(unit).second);
			},
			&seen);
		return seen;
	}
	size_t last(unsigned rank) const
	{
		size_t found = SIZE_MAX;

		for (auto &[unit, its] : model)
			if (its == rank)
				found = unit;
		return found;
	}
	unsigned worst() const
	{
		unsigned most = 0;

		for (auto &[unit, its] : model)
			if (its <= RANK_WORST)
				most = std::max(most, its);
		return most;
	}
	void check(unsigned rank) const
	{
		EXPECT_EQ(ranks_worst(&r), worst());
		if (last(rank) == SIZE_MAX)
			EXPECT_EQ(r.count[rank], 0u);
		else
			EXPECT_EQ(ranks_last(&r, rank), last(rank));
	}

	fake::Kernel fake;
	struct ranks r = {};
	std::map<size_t, unsigned> model;
};

TEST_F(Ranks, Empty)
{
	EXPECT_EQ(ranks_worst(&r), 0u);
	EXPECT_TRUE(unseen().empty());
	EXPECT_TRUE(ranks_consistent(&r, UNITS));
}

TEST_F(Ranks, AUnitHasOneRank)
{
	note(70, 3);
	note(70, RANK_WORST);
	EXPECT_EQ(ranks_worst(&r), unsigned(RANK_WORST));
	EXPECT_EQ(r.slack, size_t(RANK_WORST));
	note(70, RANK_KEPT);
	EXPECT_EQ(ranks_worst(&r), 0u);
	EXPECT_EQ(r.slack, 0u);
	EXPECT_EQ(ranks_last(&r, RANK_KEPT), 70u);
	note(70, RANK_NONE);
	EXPECT_EQ(r.count[RANK_KEPT], 0u);
	EXPECT_TRUE(ranks_consistent(&r, UNITS));
}

TEST_F(Ranks, TheFirstAndTheLastUnitOfEachGroup)
{
	for (size_t unit : {0, 63, 64, 4095, 4096, 262143, 262144, int(UNITS) - 1}) {
		note(unit, RANK_KEPT);
		check(RANK_KEPT);
	}
	while (!model.empty()) {
		EXPECT_EQ(ranks_last(&r, RANK_KEPT), model.rbegin()->first);
		note(model.rbegin()->first, RANK_NONE);
		model.erase(std::prev(model.end()));
	}
	EXPECT_TRUE(ranks_consistent(&r, UNITS));
}

TEST_F(Ranks, WhatWasToldIsSeenOnce)
{
	ranks_tell(&r, 5);
	ranks_tell(&r, 5);
	ranks_tell(&r, 262144);
	EXPECT_EQ(unseen(), (std::set<size_t>{5, 262144}));
	EXPECT_TRUE(unseen().empty());
	ranks_tell(&r, 6);
	EXPECT_EQ(unseen(), (std::set<size_t>{6}));
}

TEST_F(Ranks, AgainstAMap)
{
	Random random;

	for (size_t i = 0; i < 3000; i++) {
		unsigned rank = unsigned(random.below(RANK_UNSEEN));

		// Near together, so that words empty and fill.
		note(random.below(2) ? random.below(300) : UNITS - 1 - random.below(9000), rank);
		if (i % 16 == 0 && rank != RANK_NONE)
			check(rank);
	}
	EXPECT_TRUE(ranks_consistent(&r, UNITS));
}

TEST_F(Ranks, InconsistencyIsNoticed)
{
	note(70, 3);
	r.count[3]++;
	EXPECT_FALSE(ranks_consistent(&r, UNITS));
	r.count[3]--;
	r.level[1][0].in[3] = 0;
	EXPECT_FALSE(ranks_consistent(&r, UNITS));
	r.level[1][0].in[3] = 2;
	r.level[0][1].noted[6] = 4;
	EXPECT_FALSE(ranks_consistent(&r, UNITS));
}

// Each teller changes a value and tells of it; whoever looks later than that sees the value.
TEST_F(Ranks, NothingToldIsMissed)
{
	constexpr size_t THREADS = 3, VALUES = 256, ROUNDS = 20000;
	static std::atomic<unsigned> values[VALUES];
	static unsigned seen[VALUES];
	std::atomic<size_t> running{THREADS};
	std::vector<std::thread> tellers;
	auto look = [&] {
		ranks_each_unseen(
			&r, [](void *, size_t unit) { seen[unit / 1000] = values[unit / 1000]; },
			nullptr);
	};

	for (size_t t = 0; t < THREADS; t++)
		tellers.emplace_back([&, t] {
			for (size_t i = 0; i < ROUNDS; i++) {
				size_t value = (i * 7 + t) % VALUES;

				values[value]++;
				ranks_tell(&r, value * 1000);
			}
			running--;
		});
	while (running)
		look();
	for (std::thread &teller : tellers)
		teller.join();
	look();
	for (size_t i = 0; i < VALUES; i++)
		EXPECT_EQ(seen[i], values[i]) << i;
}

} // namespace
