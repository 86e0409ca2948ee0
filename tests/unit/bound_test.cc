// How much slack is tolerated, for how long, and which units are demoted for it.
#include <gtest/gtest.h>

#include <set>

#include "release_fixture.h"

extern "C" {
#include "pmd/surgery.h"
}

namespace
{

using fake::MIB_PAGES;
using fake::MS;
using fake::SECOND;
using fake::SLICE_PAGES;
using fake::SLICES;

constexpr size_t LEAST = 32 * MIB_PAGES; // tolerated of little

class Bound : public testing::Test, public fake::Release
{
      protected:
	Bound() : Release(256)
	{
	}
	uint64_t excess(uint64_t after, bool pressure = false)
	{
		fake.advance(after);
		return bound_excess(fake.clock, delay, pressure);
	}
	// `pages` of slack, half of it in each unit.
	std::vector<char *> slack(size_t pages)
	{
		return leave_slack(pages / 256, 256);
	}
};

// ---- how much ----

TEST_F(Bound, IsAShareOfWhatIsUsed)
{
	EXPECT_EQ(bound_pages(false), LEAST);
	stats.large_used = 1000u << 20;
	EXPECT_EQ(bound_pages(false), 1000 * MIB_PAGES / 5);
	stats.small_used = 1000u << 20;
	EXPECT_EQ(bound_pages(false), 2000 * MIB_PAGES / 5) << "mimalloc's too";
	EXPECT_EQ(bound_pages(true), 2000 * MIB_PAGES / 20);
	EXPECT_EQ(bound_tolerated(), 2000 * MIB_PAGES / 10);
	options.bound = 100;
	EXPECT_EQ(bound_pages(false), 2000 * MIB_PAGES);
	options.bound = 0;
	EXPECT_EQ(bound_pages(false), LEAST);
	options.bound = 20;
	options.release = RELEASE_TIGHT;
	EXPECT_EQ(bound_pages(false), 2000 * MIB_PAGES / 10);
	options.release = RELEASE_KEEP;
	EXPECT_EQ(bound_pages(false), SIZE_MAX);
	EXPECT_EQ(bound_pages(true), SIZE_MAX) << "whole units only, whatever comes";
	EXPECT_EQ(bound_tolerated(), SIZE_MAX);
}

TEST_F(Bound, LittleSlackIsToleratedForEver)
{
	slack(LEAST / 2);
	EXPECT_EQ(release_slack_pages(), LEAST / 2);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(excess(delay), 0u);
	EXPECT_EQ(stats.slack, 16u << 20);
}

TEST_F(Bound, BeyondItForADelay)
{
	slack(40 * MIB_PAGES);
	EXPECT_EQ(excess(0), 0u);
	EXPECT_EQ(excess(delay - 1), 0u);
	EXPECT_EQ(excess(1), 24 * MIB_PAGES) << "well below the bound";
}

TEST_F(Bound, HalfOfItForFourDelays)
{
	slack(20 * MIB_PAGES);
	EXPECT_EQ(excess(0), 0u);
	EXPECT_EQ(excess(4 * delay - 1), 0u);
	EXPECT_EQ(excess(1), 12 * MIB_PAGES);
}

TEST_F(Bound, TheTimeBeginsAgainWhenSlackWasFilled)
{
	slack(40 * MIB_PAGES);
	excess(0);
	EXPECT_EQ(excess(delay - 1), 0u);
	std::vector<char *> filled;
	for (int i = 0; i < 50; i++)
		filled.push_back(take(256));
	EXPECT_EQ(excess(0), 0u);
	for (char *p : filled)
		drop(p);
	EXPECT_EQ(excess(0), 0u);
	EXPECT_EQ(excess(delay - 1), 0u);
	EXPECT_GT(excess(1), 0u);
}

// Work is done in steps: the first of them may end below the bound.
TEST_F(Bound, OnceDueItGoesDownToHalf)
{
	slack(40 * MIB_PAGES);
	excess(0);
	ASSERT_GT(excess(delay), 0u);
	bound_demote(10 * MIB_PAGES, SIZE_MAX);
	ASSERT_EQ(release_slack_pages(), 30 * MIB_PAGES);
	EXPECT_EQ(excess(1), 14 * MIB_PAGES);
	bound_demote(14 * MIB_PAGES, SIZE_MAX);
	EXPECT_EQ(excess(1), 0u);
	EXPECT_EQ(excess(delay), 0u) << "and stays there";
	check();
}

TEST_F(Bound, TightAndPressureHaveNoDelayAndLess)
{
	slack(9 * MIB_PAGES);
	EXPECT_EQ(excess(100 * delay), 0u);
	EXPECT_EQ(excess(0, true), 5 * MIB_PAGES) << "from 9 to half of 8, at once";
	bound_reset();
	EXPECT_EQ(excess(0), 0u);
	options.release = RELEASE_TIGHT;
	EXPECT_EQ(bound_excess(fake.clock, 0, false), 0u) << "half of 32 is tolerated";
	slack(11 * MIB_PAGES);
	EXPECT_EQ(bound_excess(fake.clock, 0, false), 12 * MIB_PAGES) << "from 20 to half of 16";
}

TEST_F(Bound, ForgottenInAChild)
{
	slack(40 * MIB_PAGES);
	excess(0);
	bound_reset();
	EXPECT_EQ(excess(delay), 0u) << "counted anew";
	EXPECT_GT(excess(delay), 0u);
}

// ---- which ----

TEST_F(Bound, TheEmptiestFirst)
{
	auto kept = leave_slack({300, 40, 500, 40, 300, 500, 500, 40, 300});

	EXPECT_EQ(bound_demote(1, SIZE_MAX), 472u);
	EXPECT_EQ(bound_demote(2 * 472, SIZE_MAX), 2 * 472u);
	for (size_t i = 0; i < 9; i++)
		EXPECT_EQ(fake.huge(unit(i)), i != 1 && i != 3 && i != 7) << i;
	EXPECT_EQ(bound_demote(SIZE_MAX, 1), 212u) << "no more units than asked";
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 2 * 212 + 3 * 12u);
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 0u);
	EXPECT_EQ(stats.demoted_bytes, (3 * 472 + 3 * 212 + 3 * 12) * machine.grain);
	EXPECT_EQ(backed(), (3 * 300 + 3 * 40 + 3 * 500) * machine.grain);
	check();
}

TEST_F(Bound, TheEmptiestOfTheLedgersFirst)
{
	constexpr size_t FREE[] = {3, 20, 8, 31, 1, 20};

	for (size_t i = 0; i < 6; i++) {
		take_slices(i * SLICES, SLICES, i % 2);
		write_slices(i * SLICES, SLICES, i % 2);
		give_slices(i * SLICES + SLICES - FREE[i], FREE[i], i % 2);
	}
	for (size_t free : {31, 20, 20, 8, 3, 1})
		EXPECT_EQ(bound_demote(1, SIZE_MAX), free * SLICE_PAGES);
	EXPECT_EQ(bound_demote(1, SIZE_MAX), 0u);
	EXPECT_EQ(backed(), (6 * SLICES - 83) * SLICE_PAGES * machine.grain);
	check();
}

TEST_F(Bound, TheEmptiestOfAll)
{
	for (size_t i = 0; i < 2; i++) {
		take_slices(i * SLICES, SLICES);
		give_slices(i * SLICES + 4 + 12 * i, SLICES - 4 - 12 * i); // 448 and 256 pages
		slice(i * SLICES)[0] = 1;
	}
	leave_slack({112, 412}); // 400 and 100
	for (size_t pages : {448, 400, 256, 100})
		EXPECT_EQ(bound_demote(1, SIZE_MAX), pages);
	check();
}

// ---- what is refused ----

TEST_F(Bound, WhatIsRefusedIsPassedOver)
{
	auto a = leave_slack({100, 200, 100, 200, 100, 200});

	for (size_t i : {5, 3, 1})
		a.erase(a.begin() + long(i));
	for (char *p : a)
		fake.share(p, true);
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 3 * 312u);
	EXPECT_EQ(stats.demote_failures, 3u) << "counted";
	EXPECT_TRUE(bound_refused());
	for (char *p : a) {
		EXPECT_TRUE(fake.huge(p)) << "left alone";
		EXPECT_EQ(fake.advice(p), fake::HUGE_PAGES);
		EXPECT_TRUE(holds(p, 100));
	}
	EXPECT_EQ(release_slack_pages(), 0u) << "it is not to be had";
	check();
}

TEST_F(Bound, RefusalsInTheLedgerToo)
{
	take_slices(0, 3 * SLICES);
	for (size_t i = 0; i < 3; i++) {
		write_slices(i * SLICES, SLICES);
		give_slices(i * SLICES + 1, SLICES - 1);
	}
	fake.lock_pages(slice(0), machine.unit);
	fake.share(slice(SLICES), true);
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 31 * SLICE_PAGES);
	EXPECT_EQ(stats.demote_failures, 2u) << "not asked for again and again";
	EXPECT_TRUE(fake.huge(slice(0)));
	EXPECT_TRUE(fake.huge(slice(SLICES)));
	EXPECT_EQ(fake.advice(slice(0)), fake::HUGE_PAGES);
	EXPECT_EQ(release_slack_pages(), 0u);
	check();
}

TEST_F(Bound, NoMoreThanSomeAreAskedForInOneCall)
{
	for (char *p : leave_slack(100, 100))
		fake.share(p, true);
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 0u);
	EXPECT_LT(fake.count(fake::EXCLUSIVE), 50u);
	EXPECT_GT(release_slack_pages(), 0u);
}

TEST_F(Bound, WhatIsRefusedIsTriedAgain)
{
	auto kept = leave_slack(30, 100);

	take_slices(0, 2 * SLICES);
	give_slices(1, SLICES - 1);
	give_slices(SLICES + 1, SLICES - 1);
	for (size_t i = 0; i < 2; i++)
		slice(i * SLICES)[0] = 1;
	for (char *p : kept)
		fake.share(p, true);
	fake.share(slice(0), true);
	fake.share(slice(SLICES), true);
	run(10 * SECOND);
	EXPECT_EQ(stats.demoted_units, 0u);
	EXPECT_GE(stats.demote_failures, 32u);
	EXPECT_LT(stats.demote_failures, 32u * 5) << "but not all the time";
	EXPECT_NE(step(), UINT64_MAX) << "the keeper waits for it";
	for (char *p : kept)
		fake.share(p, false);
	fake.share(slice(0), false);
	fake.share(slice(SLICES), false);
	run(10 * SECOND);
	EXPECT_GT(stats.demoted_units, 16u);
	EXPECT_LE(release_slack_pages(), LEAST / 2);
	for (char *p : kept)
		EXPECT_TRUE(holds(p, 100));
	check();
}

TEST_F(Bound, NoMoreUnitsAreDemotedThanThereAreVmasFor)
{
	auto kept = leave_slack(3, 100);

	take_slices(0, 2 * SLICES);
	give_slices(1, SLICES - 1);
	give_slices(SLICES + 1, SLICES - 1);
	write_slices(0, 1);
	write_slices(SLICES, 1);
	EXPECT_EQ(bound_demote(1, 1), 31 * SLICE_PAGES);
	filler->demoted_units = SURGERY_MOST_DEMOTED - 1;
	ledgers[0].demoted = SURGERY_MOST_DEMOTED;
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 412u) << "one of the filler's";
	EXPECT_TRUE(bound_refused());
	// In those that are demoted already there may be more.
	take_slices(SLICES + 1, SLICES - 1);
	write_slices(SLICES + 1, SLICES - 1);
	give_slices(SLICES + 2, SLICES - 2);
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 30 * SLICE_PAGES);
	filler->demoted_units -= SURGERY_MOST_DEMOTED - 1;
	ledgers[0].demoted = 1;
	check();
}

// ---- what comes of it ----

TEST_F(Bound, AnIdleProgramComesDown)
{
	auto kept = leave_slack(60, 128); // 90 MiB of slack

	run(delay - MS);
	EXPECT_EQ(stats.demoted_units, 0u);
	run(delay);
	EXPECT_LE(release_slack_pages(), LEAST / 2);
	EXPECT_GT(release_slack_pages(), LEAST / 2 - UNIT_PAGES) << "and no further";
	EXPECT_EQ(backed(), (60 * 128 + release_slack_pages()) * machine.grain);
	for (char *p : kept)
		EXPECT_TRUE(holds(p, 128));
	run(100 * delay);
	EXPECT_EQ(step(), UINT64_MAX) << "then there is nothing to wait for";
	check();
}

TEST_F(Bound, HalfTheBoundIsNotForEver)
{
	leave_slack(20, 200); // 24 MiB
	run(4 * delay - MS);
	EXPECT_EQ(stats.demoted_units, 0u);
	run(delay);
	EXPECT_LE(release_slack_pages(), LEAST / 4);
	check();
}

TEST_F(Bound, KeepNeverDemotes)
{
	options.release = RELEASE_KEEP;
	leave_slack(60, 10);
	run(100 * delay);
	fake.short_of_memory = true;
	run(delay);
	EXPECT_EQ(release_everything(), 0u);
	EXPECT_EQ(fake.count(fake::SPLIT) + fake.count(fake::GIVE_BACK), 0u);
	EXPECT_EQ(step(), UINT64_MAX);
}

TEST_F(Bound, TightComesDownAtOnce)
{
	options.release = RELEASE_TIGHT;
	leave_slack(60, 128);
	run(100 * MS);
	EXPECT_LE(release_slack_pages(), LEAST / 4);
	check();
}

TEST_F(Bound, UnderPressureAtOnce)
{
	leave_slack(60, 128);
	run(100 * MS);
	EXPECT_EQ(stats.demoted_units, 0u);
	fake.short_of_memory = true;
	run(100 * MS);
	EXPECT_LE(release_slack_pages(), LEAST / 4);
	check();
}

} // namespace
