// Taking a unit apart, and making it whole again: the order of calls, and what each refusal leaves.
#include <gtest/gtest.h>

#include <vector>

#include "release_fixture.h"

extern "C" {
#include "pmd/surgery.h"
}

namespace
{

class Surgery : public testing::Test
{
      protected:
	Surgery()
	{
		EXPECT_EQ(zone_open(&zone, &fake::ANY_ZONE, nullptr, 4 * machine.unit, machine.unit,
		                    machine.unit),
		          0);
		zones_prove();
		zone_join(&zone);
		EXPECT_EQ(prefix_need(&zone.data, 4 * machine.unit), 0);
		unit = zone.data.base + machine.unit;
		for (size_t i = 0; i < UNIT_PAGES; i++)
			unit[i << machine.grain_shift] = char(i | 1);
		fake.own(unit, machine.unit);
		fake.forget_events();
	}
	bool contents_kept() const
	{
		for (size_t i = 0; i < UNIT_PAGES; i++)
			if (unit[i << machine.grain_shift] != char(i | 1))
				return false;
		return true;
	}
	std::vector<fake::Call> calls() const
	{
		std::vector<fake::Call> some;

		for (const fake::Event &event : fake.events())
			some.push_back(event.call);
		return some;
	}
	void expect_as_before()
	{
		EXPECT_TRUE(fake.huge(unit));
		EXPECT_EQ(fake.advice(unit), fake::HUGE_PAGES);
		EXPECT_EQ(fake.vmas(unit), 1u);
		EXPECT_TRUE(contents_kept());
		EXPECT_EQ(fake.deferred_splits() + fake.split_pmds(), 0u);
	}

	fake::Kernel fake;
	struct zone zone = {};
	char *unit;
};

using Calls = std::vector<fake::Call>;

TEST_F(Surgery, SplitsInTheRightOrder)
{
	ASSERT_TRUE(fake.huge(unit));
	EXPECT_TRUE(surgery_split(&zone, unit));
	EXPECT_EQ(calls(), (Calls{fake::EXCLUSIVE, fake::ADVISE_BASE, fake::SPLIT, fake::SURVEY}));
	for (const fake::Event &event : fake.events()) {
		EXPECT_EQ(event.addr, unit);
		EXPECT_EQ(event.bytes, machine.unit) << "the whole unit, else advice splits it";
	}
	EXPECT_FALSE(fake.huge(unit));
	EXPECT_TRUE(surgery_is_split(unit));
	EXPECT_TRUE(contents_kept());
	EXPECT_EQ(fake.splits(), 1u);
	EXPECT_EQ(fake.split_pmds(), 0u);
	EXPECT_EQ(stats.demoted_units, 1u);
	EXPECT_EQ(fake.khugepaged(), 0u);
}

TEST_F(Surgery, SharedWithAChild)
{
	fake.share(unit, true);
	EXPECT_FALSE(surgery_split(&zone, unit));
	EXPECT_EQ(calls(), Calls{fake::EXCLUSIVE}) << "left alone";
	expect_as_before();
	fake.share(unit, false);
	EXPECT_TRUE(surgery_split(&zone, unit));
}

TEST_F(Surgery, SharedJustBeforeTheSplit)
{
	fake.during = [&](const fake::Event &event) {
		if (event.call == fake::SPLIT)
			fake.share(unit, true);
	};
	EXPECT_FALSE(surgery_split(&zone, unit)) << "the split says 0, but the survey knows";
	expect_as_before();
	EXPECT_EQ(stats.demoted_units, 0u);
	EXPECT_EQ(stats.demote_failures, 1u);
}

TEST_F(Surgery, LockedMemory)
{
	fake.lock_pages(unit, machine.unit);
	EXPECT_FALSE(surgery_split(&zone, unit));
	EXPECT_TRUE(fake.huge(unit));
	EXPECT_EQ(fake.advice(unit), fake::HUGE_PAGES);
	EXPECT_EQ(stats.demote_failures, 1u);
	EXPECT_EQ(fake.events(fake::GIVE_BACK).size(), 0u);
}

TEST_F(Surgery, EachCallRefused)
{
	for (fake::Call call : {fake::EXCLUSIVE, fake::ADVISE_BASE, fake::SPLIT}) {
		fake.fail(call, 1, EINVAL);
		EXPECT_FALSE(surgery_split(&zone, unit)) << call;
		expect_as_before();
	}
	EXPECT_EQ(stats.demoted_units, 0u);
	EXPECT_EQ(stats.demote_failures, 3u) << "each of them counts";
}

// Before Linux 6.7 nothing says what a unit is.  The split was not refused.
TEST_F(Surgery, WithoutASurveyTheSplitIsBelieved)
{
	fake.fail_always(fake::SURVEY, ENOTTY);
	EXPECT_TRUE(surgery_split(&zone, unit));
	EXPECT_FALSE(surgery_is_split(unit)) << "but it is split again before each give-back";
}

TEST_F(Surgery, GivesExactlyThePagesAskedFor)
{
	bits pages = {};

	ASSERT_TRUE(surgery_split(&zone, unit));
	for (auto run : {std::pair<unsigned, unsigned>{0, 1}, {7, 57}, {128, 200}, {511, 1}}) {
		bits_set(&pages, run.first, run.second);
		fake.disown(unit + (run.first << machine.grain_shift),
		            run.second << machine.grain_shift);
	}
	bits asked = pages;
	fake.forget_events();
	EXPECT_TRUE(surgery_give_pages(unit, &pages));
	EXPECT_EQ(memcmp(&asked, &pages, sizeof(pages)), 0);
	EXPECT_EQ(fake.count(), 4u) << "one call for each run";
	EXPECT_EQ(fake::Release::resident(unit), UNIT_PAGES - 259u);
	for (unsigned i = 0; i < UNIT_PAGES; i++)
		EXPECT_EQ(unit[i << machine.grain_shift], bits_any(&pages, i, 1) ? 0 : char(i | 1));
}

TEST_F(Surgery, RefusedPagesAreTakenOut)
{
	bits pages = {};

	ASSERT_TRUE(surgery_split(&zone, unit));
	fake.disown(unit, machine.unit);
	for (unsigned i : {0, 100, 200})
		bits_set(&pages, i, 50);
	fake.fail(fake::GIVE_BACK, 2, EINVAL);
	EXPECT_TRUE(surgery_give_pages(unit, &pages));
	EXPECT_EQ(bits_count(&pages), 100u);
	EXPECT_FALSE(bits_any(&pages, 100, 50));
	fake.fail_always(fake::GIVE_BACK, EINVAL);
	EXPECT_FALSE(surgery_give_pages(unit, &pages));
	EXPECT_EQ(bits_count(&pages), 0u);
	EXPECT_FALSE(surgery_give_pages(unit, &pages)) << "nothing was asked for";
}

TEST_F(Surgery, MakesWholeAgain)
{
	ASSERT_TRUE(surgery_split(&zone, unit));
	fake.forget_events();
	EXPECT_TRUE(surgery_collapse(&zone, unit, true));
	EXPECT_EQ(calls(), (Calls{fake::ADVISE_HUGE, fake::COLLAPSE}));
	expect_as_before();
	EXPECT_EQ(stats.healed_units, 1u);
}

TEST_F(Surgery, WhatWasNotDemotedNeedsNoAdvice)
{
	EXPECT_TRUE(surgery_collapse(&zone, unit, false));
	EXPECT_EQ(calls(), Calls{fake::COLLAPSE});
}

TEST_F(Surgery, ARefusedHealingTakesTheAdviceAway)
{
	for (int error : {EAGAIN, ENOMEM, EINVAL}) {
		ASSERT_TRUE(surgery_split(&zone, unit) || !fake.huge(unit));
		fake.forget_events();
		fake.fail(fake::COLLAPSE, 1, error);
		EXPECT_FALSE(surgery_collapse(&zone, unit, true));
		EXPECT_EQ(calls(), (Calls{fake::ADVISE_HUGE, fake::COLLAPSE, fake::ADVISE_BASE}));
		EXPECT_EQ(fake.advice(unit), fake::BASE_PAGES);
		EXPECT_EQ(fake.khugepaged(), 0u);
		EXPECT_TRUE(contents_kept());
	}
	EXPECT_EQ(stats.heal_failures, 3u);
	EXPECT_EQ(stats.healed_units, 0u);
}

// khugepaged comes by during each call: it may only find what it may have.
TEST_F(Surgery, KhugepagedBetweenAnyTwoCalls)
{
	bits pages = {};

	fake.during = [&](const fake::Event &) { fake.khugepaged(); };
	ASSERT_TRUE(surgery_split(&zone, unit));
	EXPECT_FALSE(fake.huge(unit));
	fake.disown(unit, machine.unit / 2);
	bits_set(&pages, 0, UNIT_PAGES / 2);
	EXPECT_TRUE(surgery_give_pages(unit, &pages));
	EXPECT_EQ(fake.khugepaged(), 0u);
	EXPECT_EQ(fake::Release::resident(unit), UNIT_PAGES / 2u);
	EXPECT_EQ(fake.deferred_splits(), 0u);
	EXPECT_TRUE(surgery_collapse(&zone, unit, true));
	EXPECT_TRUE(fake.huge(unit));
}

} // namespace
