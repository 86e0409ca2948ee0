// Demotion in the filler: what is given back, what is noted of it, and what may happen meanwhile.
// The simple cases stand in filler_test.cc.
#include <gtest/gtest.h>

#include <functional>

#include "release_fixture.h"

extern "C" {
#include "pmd/surgery.h"
}

namespace
{

using fake::INSIDE;

class GiveBack : public testing::Test, public fake::Release
{
      protected:
	GiveBack() : Release(16)
	{
	}
	bool reads_zero(const char *p, size_t pages)
	{
		return holds(p, pages, 0);
	}
	// What each kernel call of a demotion is, and where.
	using Event = std::pair<fake::Call, size_t>;
	std::vector<Event> calls()
	{
		std::vector<Event> some;

		for (const fake::Event &event : fake.events())
			some.push_back({event.call, event.bytes >> machine.grain_shift});
		return some;
	}
};

TEST_F(GiveBack, ExactlyTheFreePages)
{
	char *p[5];

	for (char *&each : p)
		each = take_and_write(100);
	drop(p[1]);
	drop(p[3]);
	fake.forget_events();
	EXPECT_EQ(filler_demote(f(), 8), 212u);
	EXPECT_EQ(calls(), (std::vector<Event>{{fake::EXCLUSIVE, UNIT_PAGES},
	                                       {fake::ADVISE_BASE, UNIT_PAGES},
	                                       {fake::SPLIT, UNIT_PAGES},
	                                       {fake::SURVEY, UNIT_PAGES},
	                                       {fake::GIVE_BACK, 100},
	                                       {fake::GIVE_BACK, 100},
	                                       {fake::GIVE_BACK, 12}}));
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[0].addr, p[1]);
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[1].addr, p[3]);
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[2].addr, p[4] + 100 * machine.grain);
	EXPECT_EQ(backed(), 300 * machine.grain);
	for (int i : {0, 2, 4})
		EXPECT_TRUE(holds(p[i], 100));
	check();
}

// The huge page may hold something beyond what was ever handed out.
TEST_F(GiveBack, PagesNobodyEverHadGoToo)
{
	take_and_write(10);
	EXPECT_EQ(release_slack_pages(), 502u);
	EXPECT_EQ(filler_demote(f(), 8), 502u);
	EXPECT_EQ(backed(), 10 * machine.grain);
	EXPECT_EQ(release_slack_pages(), 0u);
	check();
}

TEST_F(GiveBack, TheSecondTimeNothingIsSplit)
{
	char *a = take_and_write(200), *b = take_and_write(200);

	take_and_write(112);
	drop(a);
	EXPECT_EQ(filler_demote(f(), 8), 200u);
	drop(b);
	fake.forget_events();
	EXPECT_EQ(release_slack_pages(), 200u) << "what was given back does not count again";
	EXPECT_EQ(filler_demote(f(), 8), 200u);
	EXPECT_EQ(calls(),
	          (std::vector<Event>{{fake::SURVEY, UNIT_PAGES}, {fake::GIVE_BACK, 200}}));
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[0].addr, b);
	EXPECT_EQ(filler->demoted_units, 1u);
	check();
}

// Healing failed, the advice could not be taken away again, and khugepaged came by.
TEST_F(GiveBack, AnUnitThatIsHugeAgainIsSplitAgain)
{
	char *a = take_and_write(200), *b = take_and_write(200);
	heal_walk walk = {};
	heal_limits limits = {256, 512, 16};

	take_and_write(112);
	drop(a);
	EXPECT_EQ(filler_demote(f(), 8), 200u);
	fake.during = [&](const fake::Event &event) {
		if (event.call == fake::COLLAPSE)
			fake.fail_always(fake::ANY, EAGAIN);
	};
	EXPECT_EQ(filler_heal(f(), &walk, &limits), HEAL_REFUSED);
	fake.during = nullptr;
	fake.fail_nothing();
	EXPECT_EQ(fake.khugepaged(), 1u);
	drop(b);
	EXPECT_GE(filler_demote(f(), 8), 200u);
	EXPECT_EQ(fake.splits(), 2u);
	EXPECT_EQ(fake.deferred_splits(), 0u);
	check();
}

TEST_F(GiveBack, CallocOfWhatWasGivenBackReadsZero)
{
	char *a = take_and_write(300), *b = take_and_write(200);

	drop(a);
	EXPECT_EQ(filler_demote(f(), 8), 312u);
	char *c = take(300);
	EXPECT_EQ(c, a);
	EXPECT_TRUE(zero);
	EXPECT_TRUE(reads_zero(c, 300));
	write(c, 300);
	drop(c);
	c = take(300);
	EXPECT_EQ(c, a);
	EXPECT_FALSE(zero) << "written since";
	EXPECT_TRUE(holds(b, 200));
	check();
}

TEST_F(GiveBack, EmptiedAndTakenWholeWithoutAReturn)
{
	char *a = take_and_write(300), *b = take_and_write(200);

	drop(a);
	EXPECT_GT(filler_demote(f(), 8), 0u);
	drop(b);
	check();
	char *c = take(UNIT_PAGES, UNIT_PAGES);
	EXPECT_EQ(c, a) << "kept units are taken first";
	EXPECT_FALSE(zero);
	EXPECT_EQ(filler->demoted_units, 1u) << "its advice is still to stay on base pages";
	write(c, UNIT_PAGES);
	EXPECT_FALSE(fake.huge(c));
	heal_walk walk = {};
	heal_limits limits = {256, 512, 16};
	EXPECT_EQ(filler_heal(f(), &walk, &limits), HEAL_DONE);
	EXPECT_TRUE(fake.huge(c));
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_TRUE(holds(c, UNIT_PAGES));
	check();
}

TEST_F(GiveBack, EmptyDemotedNeighboursGoInOneCallAndMerge)
{
	auto kept = leave_slack(4, 100);

	while (filler_demote(f(), 8))
		;
	EXPECT_EQ(filler->demoted_units, 4u);
	for (char *p : kept)
		drop(p);
	fake.forget_events();
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 4u);
	EXPECT_EQ(fake.count(fake::REMAP), 1u) << "else a page table stays";
	EXPECT_EQ(fake.count(fake::ADVISE_HUGE), 1u);
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_LE(fake.vmas(unit(0)), 2u);
	char *p = take_units(4);
	for (size_t i = 0; i < 4; i++)
		EXPECT_TRUE(fake.huge(p + i * machine.unit));
	check();
}

// ---- what may happen while the lock is dropped ----

// In the middle of each kind of call another thread does something in the very unit.
struct NamedCall {
	fake::Call call;
	const char *name;
};

constexpr NamedCall CALLS[] = {{fake::EXCLUSIVE, "exclusive"},
                               {fake::ADVISE_BASE, "advise_base"},
                               {fake::SPLIT, "split"},
                               {fake::SURVEY, "survey"},
                               {fake::GIVE_BACK, "give_back"}};

class GiveBackMeanwhile : public GiveBack, public testing::WithParamInterface<NamedCall>
{
      protected:
	// Demote the unit of five extents, two of them free, and do something meanwhile.
	size_t demote(std::function<void()> meanwhile)
	{
		for (char *&each : p)
			each = take_and_write(100);
		drop(p[1]);
		drop(p[3]);
		fake.during = [&, meanwhile](const fake::Event &event) {
			if (event.call != GetParam().call)
				return;
			fake.during = nullptr;
			happened = true;
			meanwhile();
			EXPECT_TRUE(consistent());
		};
		size_t given = filler_demote(f(), 8);
		fake.during = nullptr;
		EXPECT_TRUE(happened);
		check();
		return given;
	}

	char *p[5];
	bool happened = false;
};

INSTANTIATE_TEST_SUITE_P(In, GiveBackMeanwhile, testing::ValuesIn(CALLS),
                         [](const testing::TestParamInfo<NamedCall> &info) {
				 return std::string(info.param.name);
			 });

TEST_P(GiveBackMeanwhile, NobodyTakesOfIt)
{
	EXPECT_EQ(demote([&] {
			  for (size_t pages : {1, 12, 50, 100})
				  EXPECT_GE(take_and_write(pages), unit(1)) << pages;
		  }),
	          212u);
	EXPECT_EQ(resident(unit(0)), 300u);
}

TEST_P(GiveBackMeanwhile, FreesAreNotLost)
{
	EXPECT_EQ(demote([&] { drop(p[2]); }), 212u) << "what was free at its start";
	EXPECT_TRUE(holds(p[0], 100) && holds(p[4], 100));
	EXPECT_EQ(release_slack_pages(), 100u) << "the rest the next time";
	EXPECT_EQ(filler_demote(f(), 8), 100u);
	EXPECT_EQ(resident(unit(0)), 200u);
	check();
}

TEST_P(GiveBackMeanwhile, ItEmpties)
{
	demote([&] {
		for (int i : {0, 2, 4})
			drop(p[i]);
		EXPECT_GE(take_and_write(10), unit(1)) << "still nobody may take of it";
	});
	EXPECT_EQ(filler_kept(f()), 1u);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_EQ(fake.advice(unit(0)), fake::HUGE_PAGES);
	check();
}

TEST_P(GiveBackMeanwhile, AnExtentInItGrowsOrShrinks)
{
	demote([&] {
		EXPECT_FALSE(filler_resize(f(), p[2], 150)) << "into pages on their way out";
		EXPECT_FALSE(filler_resize(f(), p[4], 112)) << "into pages on their way out";
		fake.disown(p[0] + 50 * machine.grain, 50 * machine.grain);
		EXPECT_TRUE(filler_resize(f(), p[0], 50));
	});
	EXPECT_TRUE(holds(p[0], 50) && holds(p[2], 100) && holds(p[4], 100));
	EXPECT_EQ(release_slack_pages(), 50u);
	EXPECT_EQ(filler_size(f(), p[0]), 50u);
}

TEST_P(GiveBackMeanwhile, KhugepagedComesBy)
{
	EXPECT_EQ(demote([&] { fake.khugepaged(); }), 212u);
	EXPECT_EQ(fake.khugepaged(), 0u);
	EXPECT_EQ(resident(unit(0)), 300u) << "not filled again";
}

TEST_P(GiveBackMeanwhile, AChildSharesIt)
{
	demote([&] { fake.share(unit(0), true); });
	EXPECT_EQ(fake.deferred_splits(), 0u);
	fake.share(unit(0), false);
	filler_unpin(f());
	filler_demote(f(), 8);
	EXPECT_EQ(resident(unit(0)), 300u);
	check();
}

// khugepaged as fast as it can, between any two calls, through a whole life.
TEST_F(GiveBack, KhugepagedAlways)
{
	auto kept = leave_slack(8, 100);

	fake.during = [&](const fake::Event &) { fake.khugepaged(); };
	EXPECT_EQ(bound_demote(SIZE_MAX, SIZE_MAX), 8 * 412u);
	fake.khugepaged();
	EXPECT_EQ(backed(), 8 * 100 * machine.grain);
	for (char *p : kept)
		EXPECT_TRUE(holds(p, 100));
	heal_walk walk = {};
	heal_limits limits = {256, 512, 16};
	while (!walk.rounds)
		EXPECT_EQ(filler_heal(f(), &walk, &limits), HEAL_NONE);
	fake.khugepaged();
	EXPECT_EQ(backed(), 8 * 100 * machine.grain);
	for (char *p : kept)
		drop(p);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 8u);
	EXPECT_EQ(backed(), 0u);
	EXPECT_EQ(fake.deferred_splits(), 0u);
	check();
}

// ---- refusals ----

TEST_F(GiveBack, ARefusedUnitIsPassedOverUntilItIsUnpinned)
{
	auto kept = leave_slack({100, 200});
	char *a = kept[0], *b = kept[1];

	fake.share(a, true);
	EXPECT_EQ(filler_demote(f(), 8), 0u);
	EXPECT_EQ(release_slack_pages(), 312u);
	EXPECT_EQ(filler_demote(f(), 8), 312u);
	EXPECT_FALSE(fake.huge(b));
	filler_unpin(f());
	EXPECT_EQ(release_slack_pages(), 412u);
	EXPECT_EQ(filler_demote(f(), 8), 0u);
	fake.share(a, false);
	filler_unpin(f());
	EXPECT_EQ(filler_demote(f(), 8), 412u);
	EXPECT_EQ(release_slack_pages(), 0u);
	check();
}

TEST_F(GiveBack, ASurveyUnpinsToo)
{
	char *a = leave_slack(1, 100)[0];
	heal_walk walk = {};
	heal_limits limits = {256, 512, 16};

	fake.share(a, true);
	filler_demote(f(), 8);
	EXPECT_EQ(release_slack_pages(), 0u);
	EXPECT_EQ(filler_heal(f(), &walk, &limits), HEAL_NONE);
	EXPECT_EQ(release_slack_pages(), 412u);
	check();
}

TEST_F(GiveBack, APinnedUnitThatEmptiesIsReturnedAllTheSame)
{
	char *a = leave_slack(1, 100)[0];

	fake.share(a, true);
	filler_demote(f(), 8);
	drop(a);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
	fake.share(a, false);
	a = leave_slack(1, 100)[0];
	EXPECT_EQ(filler_demote(f(), 8), 412u) << "and is not pinned at its next use";
	check();
}

// Locked after it was split: some pages go, others do not.
TEST_F(GiveBack, LockedWhileItIsTakenApart)
{
	char *p[5];

	for (char *&each : p)
		each = take_and_write(100);
	drop(p[1]);
	drop(p[3]);
	fake.during = [&](const fake::Event &event) {
		if (event.call == fake::SURVEY)
			fake.lock_pages(p[1], machine.grain);
	};
	EXPECT_EQ(filler_demote(f(), 8), 112u);
	EXPECT_EQ(release_slack_pages(), 100u) << "that of the locked page and its neighbours";
	EXPECT_EQ(filler_demote(f(), 8), 0u);
	EXPECT_EQ(release_slack_pages(), 0u) << "now it is left alone";
	char *q = take(100);
	EXPECT_TRUE(!zero || reads_zero(q, 100));
	EXPECT_TRUE(consistent());
}

} // namespace
