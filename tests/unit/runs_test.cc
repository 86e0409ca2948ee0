// The index of free runs against a map, and its invariants.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "random.h"

extern "C" {
#include "pmd/runs.h"
}

namespace
{

using test::Random;

class Runs : public testing::Test
{
      protected:
	static constexpr size_t UNITS = 4096;

	void put(size_t at, size_t n)
	{
		for (size_t i = 0; i < n; i++)
			units[at + i].state = UNIT_KEPT;
		runs_put(&free_runs, &units[at], n);
		model[at] = n;
	}
	void take(size_t at)
	{
		runs_take(&free_runs, &units[at]);
		for (size_t i = 0; i < model[at]; i++)
			units[at + i].state = UNIT_WHOLE;
		model.erase(at);
	}
	size_t index(const unit *u) const
	{
		return size_t(u - units.data());
	}
	size_t longest() const
	{
		size_t n = 0;

		for (auto &run : model)
			n = std::max(n, run.second);
		return n;
	}
	void check_find(size_t n)
	{
		unit *u = runs_search(&free_runs, n), *quick = runs_find(&free_runs, n);

		EXPECT_TRUE(!quick || quick == u);
		if (!u) {
			EXPECT_LT(longest(), n) << "there is a run of " << longest();
			return;
		}
		ASSERT_TRUE(model.count(index(u)));
		EXPECT_EQ(model[index(u)], u->run);
		EXPECT_GE(u->run, n);
	}
	bool consistent() const
	{
		return runs_consistent(&free_runs, UNIT_KEPT);
	}

	struct runs free_runs = {};
	std::vector<unit> units = std::vector<unit>(UNITS + 1);
	std::map<size_t, size_t> model; // start: length
};

TEST_F(Runs, Empty)
{
	EXPECT_TRUE(consistent());
	EXPECT_EQ(runs_find(&free_runs, 1), nullptr);
	EXPECT_EQ(runs_longest(&free_runs), nullptr);
	EXPECT_EQ(free_runs.units, 0u);
}

TEST_F(Runs, EveryLengthIsFoundAndTaken)
{
	for (size_t n = 1; n <= UNITS; n++) {
		put(0, n);
		ASSERT_TRUE(consistent()) << n;
		ASSERT_EQ(free_runs.units, n);
		ASSERT_EQ(runs_find(&free_runs, n), &units[0]) << n;
		ASSERT_EQ(runs_find(&free_runs, n + 1), nullptr) << n;
		ASSERT_EQ(runs_longest(&free_runs), &units[0]);
		ASSERT_EQ(units[n - 1].run, n) << "the last unit knows the length, too";
		take(0);
		ASSERT_TRUE(consistent()) << n;
		ASSERT_EQ(free_runs.units, 0u);
	}
}

TEST_F(Runs, TouchesNothingButLengthsAndLinks)
{
	std::vector<unit> before = units;

	put(3, 5);
	EXPECT_TRUE(consistent());
	EXPECT_FALSE(runs_consistent(&free_runs, UNIT_CLEAN)) << "of another state";
	take(3);
	for (size_t i = 0; i < 10; i++) {
		EXPECT_EQ(units[i].used_count, before[i].used_count);
		EXPECT_EQ(units[i].next[BY_FIT], nullptr);
		EXPECT_EQ(units[i].prev[BY_FIT], nullptr);
	}
}

TEST_F(Runs, PrefersTheBestFit)
{
	put(0, 40);
	put(50, 3);
	put(60, 6);
	EXPECT_EQ(index(runs_find(&free_runs, 3)), 50u);
	EXPECT_EQ(index(runs_find(&free_runs, 4)), 60u);
	EXPECT_EQ(index(runs_find(&free_runs, 7)), 0u);
	EXPECT_EQ(index(runs_longest(&free_runs)), 0u);
}

// Runs of 8 and of 9 share a class.
TEST_F(Runs, FindsTheOneThatFitsBehindManyThatDoNot)
{
	put(0, 9);
	for (size_t i = 1; i < 100; i++)
		put(i * 10, 8);
	EXPECT_EQ(runs_find(&free_runs, 9), nullptr);
	EXPECT_EQ(runs_search(&free_runs, 9), &units[0]);
	EXPECT_EQ(runs_search(&free_runs, 10), nullptr);
}

TEST_F(Runs, LengthsNoRunCanHave)
{
	put(0, UNITS);
	for (unsigned shift = 12; shift < 64; shift++) {
		EXPECT_EQ(runs_find(&free_runs, (1ull << shift) + 1), nullptr) << shift;
	}
	EXPECT_EQ(runs_find(&free_runs, SIZE_MAX), nullptr);
}

TEST_F(Runs, RandomAgainstMap)
{
	TRACE_SEED();
	Random random(2);

	for (size_t i = 0; i < test::effort(300000); i++) {
		size_t at = random.below(UNITS), n = random.spread(64);
		auto next = model.lower_bound(at);
		bool free = next == model.end() || next->first >= at + n;

		if (next != model.begin()) {
			auto before = std::prev(next);
			free &= before->first + before->second <= at;
		}
		if (free && at + n <= UNITS)
			put(at, n);
		else if (next != model.end())
			take(next->first);
		check_find(random.spread(200));
		if (!model.empty()) {
			ASSERT_GE(runs_longest(&free_runs)->run * 5, longest() * 4) << "a quarter";
		}
		if (i % 64 == 0) {
			ASSERT_TRUE(consistent()) << "step " << i;
		}
	}
}

// ---- the invariants can fail ----

class RunsBroken : public Runs
{
      protected:
	void SetUp() override
	{
		put(0, 1);
		put(10, 9);
		put(30, 9);
		ASSERT_TRUE(consistent());
	}
};

TEST_F(RunsBroken, LengthInTheFirstUnit)
{
	units[10].run = 8;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, LengthInTheLastUnit)
{
	units[18].run = 8;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, NoLength)
{
	units[0].run = 0;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, WrongClass)
{
	units[0].run = 2;
	units[1].run = 2;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, State)
{
	units[14].state = UNIT_PART;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, UsedPages)
{
	units[14].used_count = 1;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, Sum)
{
	free_runs.units++;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, FilledWithoutARun)
{
	free_runs.filled[1] |= 1;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, RunNotFilled)
{
	free_runs.filled[0] &= ~2ull;
	EXPECT_FALSE(consistent());
}

TEST_F(RunsBroken, BackLink)
{
	units[10].prev[BY_FIT] = nullptr; // 30 comes before it in their list
	EXPECT_FALSE(consistent());
}

} // namespace
