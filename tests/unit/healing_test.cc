// Which broken units are made huge again, how fast, and how it gives way.
#include <gtest/gtest.h>

#include "release_fixture.h"

namespace
{

using fake::INSIDE;
using fake::MIB_PAGES;
using fake::MS;
using fake::SECOND;
using fake::SLICE_PAGES;
using fake::SLICES;

class Healing : public testing::Test, public fake::Release
{
      protected:
	static constexpr uint64_t FOR_EVER = UINT64_MAX;

	Healing() : Release(512)
	{
		// Calls are timed with the fake clock; a collapse takes as long as the test says.
		fake.during = [this](const fake::Event &event) {
			if (event.call == fake::COLLAPSE)
				fake.advance(collapse_ns);
		};
	}
	// What a write after fork does: `u` is base pages, though nobody asked for it.
	void break_unit(char *u)
	{
		auto saved = fake.during;

		fake.during = nullptr;
		ASSERT_EQ(kernel->advise_base(u, machine.unit), 0);
		ASSERT_EQ(kernel->split(u), 0);
		ASSERT_EQ(kernel->advise_huge(u, machine.unit), 0);
		ASSERT_FALSE(fake.huge(u));
		fake.forget_events();
		fake.during = saved;
	}
	// `n` used units, broken.
	char *broken_units(size_t n)
	{
		char *p = take_and_write(n * UNIT_PAGES, UNIT_PAGES);

		for (size_t i = 0; i < n; i++)
			break_unit(p + i * machine.unit);
		return p;
	}
	uint64_t heal(uint64_t after = 0, size_t growth = SIZE_MAX, uint64_t portion = 10 * MS)
	{
		fake.advance(after);
		return healing_step(fake.clock, growth, portion);
	}
	// Until there is nothing left to do, or for so long.
	void heal_for(uint64_t ns)
	{
		uint64_t end = fake.clock + ns;

		while (fake.clock < end) {
			uint64_t wait = heal();

			if (wait == FOR_EVER)
				return;
			fake.advance(std::min(wait, end - fake.clock));
		}
	}

	uint64_t collapse_ns = MS / 2;
};

// ---- when ----

TEST_F(Healing, NothingIsLookedAtUnlessAsked)
{
	broken_units(3);
	EXPECT_EQ(heal(), FOR_EVER);
	EXPECT_EQ(fake.count(), 0u);
	healing_ask();
	EXPECT_TRUE(healing_pending());
	heal_for(SECOND);
	EXPECT_EQ(stats.healed_units, 3u);
	EXPECT_FALSE(healing_pending());
	fake.forget_events();
	EXPECT_EQ(heal(SECOND), FOR_EVER) << "one round, and no more";
	EXPECT_EQ(fake.count(), 0u);
	check();
}

TEST_F(Healing, AskedDuringARoundAnotherFollows)
{
	char *p = broken_units(3);

	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::COLLAPSE || event.addr != p + 2 * machine.unit)
			return;
		fake.during = nullptr;
		break_unit(p);
		healing_ask();
	};
	healing_ask();
	heal_for(SECOND);
	EXPECT_TRUE(fake.huge(p));
	EXPECT_FALSE(healing_pending());
}

TEST_F(Healing, NotBeforeTheHeapHasProvenBig)
{
	broken_units(1);
	zones_reset();
	healing_ask();
	EXPECT_FALSE(healing_pending());
	EXPECT_EQ(heal(), FOR_EVER);
	EXPECT_EQ(fake.count(), 0u);
}

TEST_F(Healing, CanBeTurnedOff)
{
	broken_units(1);
	options.heal = 0;
	healing_ask();
	EXPECT_FALSE(healing_pending());
	EXPECT_EQ(heal(), FOR_EVER);
	EXPECT_EQ(fake.count(), 0u);
}

TEST_F(Healing, WithoutASurveyTheRoundEnds)
{
	broken_units(3);
	fake.fail_always(fake::SURVEY, ENOTTY);
	healing_ask();
	EXPECT_EQ(heal(), FOR_EVER);
	EXPECT_EQ(fake.count(fake::COLLAPSE), 0u);
}

// ---- which ----

TEST_F(Healing, OnlyUnitsThatAreFullEnough)
{
	std::vector<char *> units;

	for (size_t pages : {100, 255, 256, 400}) {
		units.push_back(take_and_write(pages, INSIDE));
		take(UNIT_PAGES - pages); // used, but never touched
	}
	for (char *u : units)
		break_unit(u);
	healing_ask();
	heal_for(SECOND);
	EXPECT_FALSE(fake.huge(units[0]));
	EXPECT_FALSE(fake.huge(units[1])) << "used, but hardly resident";
	EXPECT_TRUE(fake.huge(units[2]));
	EXPECT_TRUE(fake.huge(units[3]));
	check();
}

TEST_F(Healing, ResidentButHardlyUsedIsNotWorthIt)
{
	auto kept = leave_slack({100, 300});

	for (size_t i = 0; i < 2; i++)
		write(unit(i), UNIT_PAGES);
	for (char *u : kept)
		break_unit(u);
	healing_ask();
	heal_for(SECOND);
	EXPECT_FALSE(fake.huge(kept[0]));
	EXPECT_TRUE(fake.huge(kept[1]));
}

TEST_F(Healing, FreeUnitsAreLeftAlone)
{
	char *p = broken_units(3);

	drop(p);
	healing_ask();
	heal_for(SECOND);
	EXPECT_EQ(fake.count(fake::COLLAPSE), 0u);
	EXPECT_EQ(filler_kept(f()), 3u);
	check();
}

TEST_F(Healing, NoUnitThatGrowsMemoryTooMuch)
{
	char *a = take_and_write(300, INSIDE);
	take(212);
	char *b = take_and_write(500, INSIDE);

	break_unit(a);
	break_unit(b);
	healing_ask();
	for (int i = 0; i < 10; i++)
		heal(MS, 100);
	EXPECT_FALSE(fake.huge(a)) << "212 pages more";
	EXPECT_TRUE(fake.huge(b)) << "12 pages more";
	check();
}

// Healing stops short of the bound: else what it adds would be demoted again.
TEST_F(Healing, NeverGrowsSlackBeyondTheBound)
{
	leave_slack(50, 300);
	while (filler_demote(f(), 8))
		;
	healing_ask();
	run(delay / 2);
	EXPECT_GT(stats.healed_units, 10u);
	EXPECT_LE(release_slack_pages(), bound_tolerated());
	EXPECT_GT(release_slack_pages(), bound_tolerated() - 212);
	check();
}

TEST_F(Healing, SharedUnitsWaitForTheChild)
{
	char *a = leave_slack(1, 200)[0];

	ASSERT_GT(filler_demote(f(), 8), 0u);
	take_and_write(200);
	fake.share(a, true);
	healing_ask();
	heal_for(SECOND);
	EXPECT_FALSE(fake.huge(a)) << "a copy for the parent would cost 2 MiB";
	EXPECT_EQ(stats.heal_failures, 0u);
	EXPECT_TRUE(healing_pending()) << "looked at again";
	fake.share(a, false);
	heal_for(2 * SECOND);
	EXPECT_TRUE(fake.huge(a));
	check();
}

TEST_F(Healing, DemotedUnitsGetTheirAdviceBack)
{
	char *a = leave_slack(1, 200)[0];

	ASSERT_GT(filler_demote(f(), 8), 0u);
	take_and_write(200);
	healing_ask();
	heal_for(SECOND);
	EXPECT_TRUE(fake.huge(a));
	EXPECT_EQ(fake.advice(a), fake::HUGE_PAGES);
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_TRUE(holds(a, 400));
	EXPECT_LE(fake.vmas(a), 2u) << "merged again";
	check();
}

TEST_F(Healing, LedgersAndFillerInOneRound)
{
	char *p = broken_units(2);

	for (size_t l : {0, 1}) {
		take_slices(0, 2 * SLICES, l);
		write_slices(0, 2 * SLICES, l);
		for (size_t i : {0, 1})
			break_unit(slice(i * SLICES, l));
	}
	healing_ask();
	heal_for(SECOND);
	EXPECT_EQ(stats.healed_units, 6u);
	EXPECT_FALSE(healing_pending());
	EXPECT_TRUE(holds(slice(0), SLICES * SLICE_PAGES));
	EXPECT_TRUE(holds(p, 2 * UNIT_PAGES));
	check();
}

// ---- what happens meanwhile ----

TEST_F(Healing, TheUnitMayEmptyOrFillMeanwhile)
{
	for (fake::Call call : {fake::SURVEY, fake::ADVISE_HUGE, fake::COLLAPSE}) {
		for (bool empties : {true, false}) {
			auto kept = leave_slack(1, 300);
			bool happened = false;

			ASSERT_GT(filler_demote(f(), 8), 0u);
			fake.during = [&](const fake::Event &event) {
				if (event.call != call)
					return;
				fake.during = nullptr;
				happened = true;
				if (empties)
					drop(kept[0]);
				else
					take_and_write(212);
				EXPECT_TRUE(consistent());
			};
			healing_ask();
			heal_for(10 * SECOND);
			EXPECT_TRUE(happened);
			check();
			for (size_t page : {0, 300})
				if (filler_size(f(), unit(0) + page * machine.grain))
					drop(unit(0) + page * machine.grain);
			EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
			EXPECT_EQ(filler->demoted_units, 0u);
			EXPECT_EQ(fake.advice(unit(0)), fake::HUGE_PAGES);
			check();
		}
	}
}

// ---- where it is filled ----

class Filling : public Healing
{
      protected:
	// Two units with little in them, and a place that is found in one of them.
	void SetUp() override
	{
		leave_slack(2, 50);
		ASSERT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 2 * (UNIT_PAGES - 50));
		ASSERT_EQ(filler->demoted_units, 2u);
		filler->sparse_percent = 0; // they come before free units
		fake.forget_events();
	}
	// More of the program's memory, in whole units.
	void grow(size_t mib)
	{
		take_units(mib / 2);
	}
	char *fill()
	{
		char *p = take(100, INSIDE);

		EXPECT_LT(p, unit(2)) << "in one of the two";
		release_filling(f(), p);
		return p;
	}
	static char *unit_of(char *p)
	{
		return p - uintptr_t(p) % machine.unit;
	}
};

TEST_F(Filling, AUnitIsHealedBeforeItIsTouched)
{
	grow(8);
	char *p = fill();
	EXPECT_TRUE(fake.huge(unit_of(p)));
	EXPECT_TRUE(holds(unit_of(p), 50)) << "what was there";
	EXPECT_EQ(filler->demoted_units, 1u);
	EXPECT_EQ(stats.healed_units, 1u);
	char *next = fill();
	EXPECT_EQ(unit_of(next), unit_of(p)) << "huge units are filled first";
	EXPECT_EQ(stats.healed_units, 1u);
	check();
}

TEST_F(Filling, NotUnlessTheProgramGrows)
{
	grow(6);
	EXPECT_FALSE(fake.huge(unit_of(fill())));
	EXPECT_EQ(fake.count(fake::COLLAPSE), 0u);
}

TEST_F(Filling, GrowthCountsFromTheLastDemotion)
{
	grow(8);
	drop(take_and_write(100, INSIDE));
	ASSERT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 100u);
	EXPECT_FALSE(fake.huge(unit_of(fill())));
	grow(8);
	EXPECT_TRUE(fake.huge(unit_of(fill())));
}

TEST_F(Filling, NotIfMemoryGrowsTooMuch)
{
	char *p = take(100, INSIDE);

	healing_fill(f(), p, UNIT_PAGES - 150 - 1, fake.clock);
	EXPECT_FALSE(fake.huge(unit_of(p)));
	healing_fill(f(), p, UNIT_PAGES - 150, fake.clock);
	EXPECT_TRUE(fake.huge(unit_of(p)));
}

TEST_F(Filling, AUnitThatWasNotDemotedIsNoneOfIts)
{
	char *p = take_units(1);

	healing_fill(f(), p, SIZE_MAX, fake.clock); // as with release:keep: no bound
	EXPECT_EQ(fake.count(fake::COLLAPSE), 0u);
}

TEST_F(Filling, NotWhileMemoryIsShort)
{
	grow(8);
	fake.short_of_memory = true;
	step();
	EXPECT_FALSE(fake.huge(unit_of(fill())));
	fake.short_of_memory = false;
	step();
	EXPECT_TRUE(fake.huge(unit_of(fill())));
}

TEST_F(Filling, NotWhatAChildShares)
{
	grow(8);
	fake.share(unit(0), true);
	fake.share(unit(1), true);
	EXPECT_FALSE(fake.huge(unit_of(fill())));
	EXPECT_EQ(fake.count(fake::COLLAPSE), 0u);
	check();
}

TEST_F(Filling, WhatIsRefusedStaysAsItIs)
{
	grow(8);
	fake.fail(fake::COLLAPSE, 1, EAGAIN);
	char *p = fill();
	EXPECT_FALSE(fake.huge(unit_of(p)));
	EXPECT_EQ(fake.advice(p), fake::BASE_PAGES);
	EXPECT_TRUE(holds(unit_of(p), 50));
	EXPECT_EQ(stats.heal_failures, 1u);
	EXPECT_FALSE(fake.huge(unit_of(fill()))) << "and not again at once";
	fake.advance(SECOND);
	EXPECT_TRUE(fake.huge(unit_of(fill())));
	check();
}

TEST_F(Filling, WithinTheBudget)
{
	grow(8);
	collapse_ns = 40 * SECOND / 100 * options.heal; // 30 are saved up
	EXPECT_TRUE(fake.huge(unit_of(fill())));
	char *p = take(UNIT_PAGES - 80, INSIDE);
	ASSERT_LT(p, unit(2));
	fake.advance(5 * SECOND / 100); // after the pause that a slow collapse makes
	release_filling(f(), p);
	EXPECT_FALSE(fake.huge(unit_of(p)));
}

TEST_F(Filling, CanBeTurnedOff)
{
	grow(8);
	options.heal = 0;
	EXPECT_FALSE(fake.huge(unit_of(fill())));
}

TEST_F(Filling, SlicesToo)
{
	take_slices(0, 2 * SLICES);
	write_slices(0, 2 * SLICES);
	give_slices(4, SLICES - 4);
	give_slices(SLICES + 4, SLICES - 4);
	ASSERT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 2 * (SLICES - 4) * SLICE_PAGES);
	take_slices(4, 1);
	release_filling_small(&ledgers[0], slice(4));
	EXPECT_FALSE(fake.huge(slice(0))) << "it does not grow";
	grow(8);
	take_slices(5, 1);
	release_filling_small(&ledgers[0], slice(5));
	EXPECT_TRUE(fake.huge(slice(0)));
	EXPECT_FALSE(fake.huge(slice(SLICES)));
	EXPECT_TRUE(holds(slice(0), 4 * SLICE_PAGES));
	EXPECT_EQ(ledgers[0].demoted, 1u);
	release_filling_small(&ledgers[0], slice(5));
	EXPECT_EQ(fake.count(fake::COLLAPSE), 1u) << "it is huge";
	check();
}

// ---- how fast ----

TEST_F(Healing, APortionThenAPause)
{
	broken_units(100);
	collapse_ns = MS;
	healing_ask();
	uint64_t wait = heal();
	EXPECT_EQ(stats.healed_units, 10u);
	EXPECT_EQ(wait, 30 * MS) << "no more than a quarter of a core";
	heal(wait);
	EXPECT_EQ(stats.healed_units, 20u);
	heal(wait, SIZE_MAX, 1);
	EXPECT_EQ(stats.healed_units, 21u) << "one, if the portion is small";
}

// 800 units at up to 1.6 ms must fit into 10 s.
TEST_F(Healing, AllThatWasDemotedIsHealedInTime)
{
	broken_units(400);
	collapse_ns = 3200000;
	healing_ask();
	heal_for(10 * SECOND);
	EXPECT_EQ(stats.healed_units, 400u);
}

// After what was saved up, no more than its share of the time.
TEST_F(Healing, InTheLongRunATenth)
{
	constexpr size_t UNITS = 40;
	char *p = broken_units(UNITS);
	uint64_t begin = fake.clock, spent = 0;

	collapse_ns = 14 * MS;
	for (int round = 0; fake.clock < begin + 300 * SECOND; round++) {
		uint64_t healed = stats.healed_units, wait;

		healing_ask();
		wait = heal();
		spent += (stats.healed_units - healed) * collapse_ns;
		ASSERT_LT(wait, 10 * SECOND);
		fake.advance(wait);
		for (size_t i = 0; i < UNITS; i++)
			if (fake.huge(p + i * machine.unit))
				break_unit(p + i * machine.unit);
		EXPECT_LE(spent, (fake.clock - begin) / 10 + 3 * SECOND + 2 * collapse_ns);
	}
	EXPECT_GE(spent, 29 * SECOND) << "and uses it";
}

TEST_F(Healing, TheShareIsAnOption)
{
	constexpr size_t UNITS = 200;
	uint64_t healed[2];

	broken_units(UNITS);
	collapse_ns = 14 * MS;
	for (unsigned percent : {1, 2}) {
		options.heal = percent;
		healing_reset();
		healing_ask();
		uint64_t before = stats.healed_units;
		heal_for(60 * SECOND);
		healed[percent - 1] = stats.healed_units - before;
	}
	EXPECT_NEAR(double(healed[0]), (300 + 600) / 14.0, 5.0) << "saved up, and earned";
	EXPECT_NEAR(double(healed[1]), (600 + 1200) / 14.0, 5.0);
}

TEST_F(Healing, NotMoreThanSoMuchIsSavedUp)
{
	options.heal = 1;
	broken_units(60);
	collapse_ns = 14 * MS;
	heal();
	fake.advance(3600 * SECOND);
	healing_ask();
	heal_for(2 * SECOND);
	EXPECT_NEAR(double(stats.healed_units), (300 + 20) / 14.0, 2.0) << "that of 30 s";
}

// ---- giving way ----

TEST_F(Healing, RefusalsDoubleThePause)
{
	char *p = broken_units(12);

	fake.fail_always(fake::COLLAPSE, EAGAIN);
	collapse_ns = 1000;
	healing_ask();
	for (uint64_t expected = MS, i = 0; i < 12; i++) {
		uint64_t wait = heal();

		EXPECT_EQ(stats.heal_failures, i + 1) << "one, and then it waits";
		EXPECT_EQ(wait, expected) << i;
		EXPECT_EQ(heal(wait - 1), 1u) << "nothing before";
		EXPECT_EQ(stats.heal_failures, i + 1);
		fake.advance(1);
		expected = std::min(2 * expected, 4000 * MS);
	}
	fake.fail_nothing();
	EXPECT_TRUE(healing_pending()) << "it looks again";
	heal_for(10 * SECOND);
	EXPECT_EQ(stats.healed_units, 12u);
	EXPECT_FALSE(healing_pending());
	EXPECT_TRUE(holds(p, 12 * UNIT_PAGES));
	check();
}

TEST_F(Healing, ALongCollapseIsASignToo)
{
	broken_units(50);
	options.heal = 100;
	collapse_ns = 31 * MS;
	healing_ask();
	for (int i = 0; i < 8; i++)
		heal(10 * SECOND);
	EXPECT_EQ(stats.healed_units, 8u) << "one a step: each was longer than a portion";
	// The backoff shows when one is refused.
	fake.fail(fake::COLLAPSE, 1, ENOMEM);
	EXPECT_GE(heal(10 * SECOND), 128 * MS);
	// Quick ones halve it.
	collapse_ns = 1000;
	fake.advance(10 * SECOND);
	heal(0, SIZE_MAX, 5000);
	EXPECT_EQ(stats.healed_units, 13u);
	fake.fail(fake::COLLAPSE, 1, ENOMEM);
	EXPECT_LT(heal(10 * SECOND, SIZE_MAX, 1), 32 * MS);
}

TEST_F(Healing, LooksAgainButNotAllTheTime)
{
	broken_units(3);
	fake.fail_always(fake::COLLAPSE, EINVAL);
	healing_ask();
	heal_for(100 * SECOND);
	EXPECT_TRUE(healing_pending());
	EXPECT_GT(stats.heal_failures, 30u);
	EXPECT_LT(stats.heal_failures, 1000u);
	EXPECT_LT(fake.count(fake::SURVEY), 3000u);
}

// ---- after fork ----

// Units break for as long as the child lives, and nobody says when that ends.
TEST_F(Healing, WhatAChildBreaksIsHealedWhenItIsGone)
{
	char *p = take_and_write(40 * UNIT_PAGES, UNIT_PAGES);

	release_note_fork();
	EXPECT_TRUE(release_wants_keeper());
	run(20 * SECOND);
	for (size_t i = 0; i < 40; i++)
		break_unit(p + i * machine.unit);
	EXPECT_NE(step(), FOR_EVER) << "the keeper is still there";
	run(10 * SECOND);
	EXPECT_EQ(stats.healed_units, 40u);
	EXPECT_TRUE(holds(p, 40 * UNIT_PAGES));
	run(700 * SECOND);
	EXPECT_EQ(step(), FOR_EVER) << "but not for ever";
	check();
}

TEST_F(Healing, WhatAChildBreaksIsHealedByCallersIfThereIsNoKeeper)
{
	char *p = take_and_write(40 * UNIT_PAGES, UNIT_PAGES);

	options.background = BACKGROUND_OFF;
	release_note_fork();
	EXPECT_FALSE(release_wants_keeper());
	for (int i = 0; i < 100; i++) {
		fake.advance(100 * MS);
		tick();
		if (i == 20)
			for (size_t unit = 0; unit < 40; unit++)
				break_unit(p + unit * machine.unit);
	}
	EXPECT_EQ(stats.healed_units, 40u);
	EXPECT_LE(stats.longest_pause_ns, 2 * collapse_ns) << "a caller waits for one at a time";
}

TEST_F(Healing, AForkOfASmallProgramIsNothing)
{
	take_units(10);
	release_note_fork();
	EXPECT_FALSE(release_wants_keeper());
	EXPECT_EQ(step(), FOR_EVER);
	EXPECT_EQ(fake.count(fake::SURVEY), 0u);
}

// A heap that has doubled is looked through: were its huge faults met?
TEST_F(Healing, AHeapThatDoubledIsLookedThrough)
{
	char *p = broken_units(8);

	run(SECOND);
	EXPECT_EQ(stats.healed_units, 0u) << "not worth a thread";
	char *q = broken_units(12);
	run(SECOND);
	EXPECT_EQ(stats.healed_units, 20u);
	break_unit(p);
	take_units(19);
	run(SECOND);
	EXPECT_EQ(stats.healed_units, 20u);
	take_units(1);
	run(SECOND);
	EXPECT_EQ(stats.healed_units, 21u);
	EXPECT_TRUE(holds(q, 12 * UNIT_PAGES));
}

TEST_F(Healing, DemotedUnitsThatFillAgainAreLookedThrough)
{
	options.release = RELEASE_TIGHT;
	auto kept = leave_slack(60, 100);
	run(SECOND);
	EXPECT_GT(stats.demoted_units, 40u);
	EXPECT_EQ(stats.healed_units, 0u);
	std::vector<char *> more;
	for (int i = 0; i < 60; i++)
		more.push_back(take_and_write(400));
	run(10 * SECOND);
	for (size_t i = 0; i < filler->zones[0].top; i++)
		EXPECT_TRUE(fake.huge(unit(i)) || about(i)->used_count < 256) << i;
	EXPECT_LE(filler->demoted_units, 9u) << "a few sparse ones are tolerated";
	for (char *p : kept)
		EXPECT_TRUE(holds(p, 100));
	for (char *p : more)
		EXPECT_TRUE(holds(p, 400));
	check();
}

} // namespace
