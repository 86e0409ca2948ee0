// How many free units are kept, and for how long.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "random.h"
#include "release_fixture.h"

namespace
{

using fake::MS;
using fake::SECOND;
using test::Random;

// ---- the window alone ----

class Window : public testing::Test
{
      protected:
	Window()
	{
		retain_reset();
	}
	size_t want_after(uint64_t ns)
	{
		now += ns;
		retain_advance(now, delay);
		return retain_want();
	}

	fake::Kernel fake;
	uint64_t now = 1, delay = SECOND;
};

TEST_F(Window, NothingHeldNothingKept)
{
	EXPECT_EQ(want_after(0), 0u);
	EXPECT_EQ(want_after(SECOND), 0u);
	demand_rise(7);
	EXPECT_EQ(want_after(1), 0u) << "all of it is in use";
}

TEST_F(Window, KeepsWhatRecentDemandDippedBy)
{
	demand_rise(100);
	EXPECT_EQ(want_after(100 * MS), 0u);
	demand_fall(40);
	EXPECT_EQ(want_after(100 * MS), 40u);
	demand_rise(15);
	EXPECT_EQ(want_after(100 * MS), 25u);
	demand_rise(35);
	EXPECT_EQ(want_after(100 * MS), 0u) << "more than ever before";
	demand_fall(110);
	EXPECT_EQ(want_after(100 * MS), 110u);
}

TEST_F(Window, ForgetsADelayLater)
{
	demand_rise(100);
	want_after(0);
	demand_fall(100);
	for (int i = 1; i <= 10; i++)
		EXPECT_EQ(want_after(i < 10 ? 100 * MS : 99 * MS), 100u) << i;
	want_after(SECOND / 8);
	EXPECT_EQ(want_after(SECOND / 8), 0u) << "and not much later";
}

TEST_F(Window, APeakBetweenTwoLooksCounts)
{
	want_after(0);
	demand_rise(50);
	demand_fall(50);
	EXPECT_EQ(want_after(10 * MS), 50u);
}

TEST_F(Window, APeakSinceTheLastLookCountsBeforeTheNext)
{
	want_after(0);
	demand_rise(50);
	demand_fall(20);
	EXPECT_EQ(retain_want(), 20u);
}

TEST_F(Window, DemandThatFallsInStepsIsForgottenInSteps)
{
	demand_rise(80);
	want_after(0);
	for (int i = 0; i < 80; i++) {
		demand_fall(1);
		size_t want = want_after(SECOND / 8);
		EXPECT_LE(want, 10u);
		EXPECT_GE(want, std::min(i + 1, 8));
	}
}

// What happened during a pause may have been at its end.
TEST_F(Window, AfterALongPauseOneMoreDelay)
{
	for (uint64_t pause : {SECOND / 4, SECOND / 2, SECOND, 3 * SECOND, 3600 * SECOND}) {
		retain_reset();
		demand = {};
		demand_rise(100);
		want_after(0);
		demand_fall(60);
		EXPECT_EQ(want_after(pause), 60u) << pause;
		EXPECT_EQ(want_after(SECOND - MS), 60u) << pause;
		want_after(SECOND / 8);
		EXPECT_EQ(want_after(SECOND / 8), 0u) << pause;
	}
}

TEST_F(Window, WithoutADelayTheNextLookForgets)
{
	delay = 0;
	demand_rise(10);
	want_after(0);
	demand_fall(10);
	want_after(10 * MS);
	EXPECT_EQ(want_after(10 * MS), 0u);
}

TEST_F(Window, AShorterDelayHoldsFromNowOn)
{
	delay = 1000 * SECOND;
	demand_rise(10);
	want_after(0);
	demand_fall(10);
	EXPECT_EQ(want_after(SECOND), 10u);
	delay = SECOND;
	for (int i = 0; i < 12; i++)
		want_after(SECOND / 8);
	EXPECT_EQ(retain_want(), 0u);
}

// Against the whole history: never less than the last delay justifies, and never more than what a
// delay, a slice and a pause between two looks justify.
TEST_F(Window, AgainstTheHistory)
{
	struct Change {
		uint64_t seen; // at the first look after it
		uint64_t until, held;
	};
	Random random(1);
	TRACE_SEED();

	for (size_t round = 0; round < 10; round++) {
		std::deque<Change> history;
		uint64_t longest_pause = random.spread(SECOND), held = 0;

		retain_reset();
		demand = {};
		now = random.next() >> 8;
		for (size_t i = 0; i < test::effort(2000); i++) {
			uint64_t look = now + random.spread(longest_pause);

			for (uint64_t at = now; at < look; at += 1 + random.below(look - now)) {
				uint64_t next = random.spread(1000) - 1;

				history.push_back({look, at, held});
				next > held ? demand_rise(next - held) : demand_fall(held - next);
				held = next;
			}
			size_t want = want_after(look - now);
			uint64_t slice = delay / 7 + 1, least = held, most = held;

			while (!history.empty() && history.front().seen + 9 * slice < now)
				history.pop_front();
			for (const Change &c : history) {
				if (c.until + delay > now)
					least = std::max(least, c.held);
				if (c.seen + 8 * slice > now)
					most = std::max(most, c.held);
			}
			ASSERT_GE(want, least - held) << "look " << i;
			ASSERT_LE(want, most - held) << "look " << i;
		}
	}
}

// ---- what comes of it ----

class Retain : public testing::Test, public fake::Release
{
};

// 200 MiB taken and freed ten times a second must not be faulted in each time.
TEST_F(Retain, WhatComesAndGoesStays)
{
	char *p = take_units(100);

	for (int i = 0; i < 100; i++) {
		drop(p);
		run(50 * MS);
		EXPECT_EQ(filler_kept(f()), 100u);
		p = take_units(100);
		run(50 * MS);
	}
	EXPECT_EQ(stats.returned_units, 0u);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 0u);
	check();
}

TEST_F(Retain, WhatComesAndGoesStaysInTheLedgerToo)
{
	take_slices(0, 100 * fake::SLICES);
	for (int i = 0; i < 100; i++) {
		give_slices(0, 100 * fake::SLICES);
		run(50 * MS);
		EXPECT_EQ(ledger_kept(&ledgers[0]), 100u);
		take_slices(0, 100 * fake::SLICES);
		run(50 * MS);
	}
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 0u);
	check();
}

TEST_F(Retain, FreedForGoodGoesADelayLaterInOneCall)
{
	char *p = take_units(60);

	run(5 * SECOND);
	drop(p);
	run(delay - MS);
	EXPECT_EQ(filler_kept(f()), 60u);
	run(delay / 2);
	EXPECT_EQ(filler_kept(f()), 0u);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 1u) << "neighbours in one call";
	EXPECT_EQ(stats.returned_units, 60u);
	EXPECT_EQ(backed(), 0u);
	EXPECT_EQ(fake.splits(), 0u);
	check();
}

TEST_F(Retain, APartOfDemandStays)
{
	char *a = take_units(50), *b = take_units(30);

	drop(a);
	drop(b);
	a = take_units(50);
	run(delay / 2);
	drop(a);
	run(delay / 4);
	EXPECT_EQ(stats.returned_units, 0u);
	a = take_units(50);
	for (int i = 0; i < 20; i++) {
		drop(a);
		run(delay / 8);
		a = take_units(50);
		run(delay / 8);
	}
	EXPECT_EQ(stats.returned_units, 30u) << "these were not asked for again";
	check();
}

TEST_F(Retain, TightKeepsNothing)
{
	options.release = RELEASE_TIGHT;
	char *p = take_units(20);

	run(SECOND);
	drop(p);
	run(25 * MS);
	EXPECT_EQ(filler_kept(f()), 0u);
	EXPECT_EQ(backed(), 0u);
	check();
}

TEST_F(Retain, KeepReturnsWholeUnitsToo)
{
	options.release = RELEASE_KEEP;
	drop(take_units(20));
	run(2 * delay);
	EXPECT_EQ(filler_kept(f()), 0u);
	check();
}

TEST_F(Retain, UnderPressureAllGoesAtOnce)
{
	char *p = take_units(20);

	take_slices(0, 20 * fake::SLICES);
	give_slices(0, 20 * fake::SLICES);
	drop(p);
	step();
	EXPECT_EQ(release_kept_units(), 40u);
	fake.short_of_memory = true;
	step();
	EXPECT_EQ(release_kept_units(), 0u);
	check();
}

// An idle program's keeper wakes up, and then has nothing to wait for.
TEST_F(Retain, ThenThereIsNothingToWaitFor)
{
	drop(take_units(20));
	EXPECT_LE(step(), delay);
	run(2 * delay);
	EXPECT_EQ(step(), UINT64_MAX);
}

} // namespace
