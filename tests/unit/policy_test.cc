// Zones and fillers by policy: what a rule asks of the memory of a site holds for its zones, and
// for what release/ does with them.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "fake_kernel.h"

extern "C" {
#include "options.h"
#include "pmd/filler.h"
#include "release/bound.h"
#include "release/release.h"
#include "report/stats.h"
}

namespace
{

constexpr uint64_t SECOND = 1000000000;

struct placement on(unsigned node)
{
	return {placement::PLACE_PREFERABLY, node};
}

// Several fillers under one policy of release/.
class Fillers : public testing::Test
{
      protected:
	static constexpr size_t MOST = 4;

	void SetUp() override
	{
		options_default(&options);
		options.background = BACKGROUND_ON;
		release_after_fork();
		struct release_scope scope = {fillers.get(), &count,  nullptr,
		                              &no_ledgers,   nullptr, nullptr};
		release_init(&scope);
	}
	void TearDown() override
	{
		for (size_t i = 0; i < count; i++)
			EXPECT_TRUE(filler_consistent(&fillers[i])) << i;
		options_default(&options);
		release_after_fork();
	}
	struct filler *open(const filler_policy &policy)
	{
		struct filler *f = &fillers[count];

		filler_init(f, &policy);
		EXPECT_EQ(filler_add_zone(f, nullptr, 128 * machine.unit, machine.unit), 0);
		count++;
		return f;
	}
	static filler_policy with(decltype(zone_policy::pages) pages, unsigned release, bool heal)
	{
		return {{"test", pages, {}}, release, heal};
	}
	char *take(struct filler *f, size_t pages, size_t align = 2)
	{
		filler_request request = {pages, align, 0};
		bool zero;
		char *p = static_cast<char *>(filler_alloc(f, &request, &zero));

		EXPECT_NE(p, nullptr);
		fake.own(p, pages << machine.grain_shift);
		for (size_t i = 0; i < pages; i++)
			p[i << machine.grain_shift] = 1;
		return p;
	}
	void drop(struct filler *f, char *p)
	{
		fake.disown(p, filler_size(f, p) << machine.grain_shift);
		filler_free(f, p);
	}
	// Units of which the first 100 pages are used.
	std::vector<char *> leave_slack(struct filler *f, size_t units)
	{
		std::vector<char *> kept, freed;

		for (size_t i = 0; i < units; i++) {
			kept.push_back(take(f, 100));
			freed.push_back(take(f, UNIT_PAGES - 100, 1));
		}
		for (char *p : freed)
			drop(f, p);
		return kept;
	}
	void run(uint64_t ns)
	{
		for (uint64_t end = fake.clock + ns; fake.clock < end;) {
			uint64_t wait = release_step(fake.clock);
			fake.advance(wait < SECOND / 10 ? wait + 1 : SECOND / 10);
		}
	}
	size_t backed(struct filler *f)
	{
		return kernel->resident(f->zones[0].zone.data.base, f->zones[0].zone.data.ready) >>
		       machine.grain_shift;
	}

	fake::Kernel fake;
	std::unique_ptr<struct filler[]> fillers{new struct filler[MOST]()};
	size_t count = 0;
	const size_t no_ledgers = 0;
};

// ---- pages ----

TEST_F(Fillers, HugeZonesDoNotWaitForTheProof)
{
	struct filler *usual = open(fake::ANY_FILLER);
	struct filler *huge = open(with(zone_policy::ZONE_HUGE, RELEASE_DEFAULT, true));

	EXPECT_FALSE(fake.huge(take(usual, UNIT_PAGES, UNIT_PAGES)));
	EXPECT_TRUE(fake.huge(take(huge, UNIT_PAGES, UNIT_PAGES)));
}

TEST_F(Fillers, HugeZonesAreHealedBeforeTheProofAndNoOthers)
{
	struct filler *usual = open(fake::ANY_FILLER);
	struct filler *huge = open(with(zone_policy::ZONE_HUGE, RELEASE_DEFAULT, true));
	char *whole = take(huge, UNIT_PAGES, UNIT_PAGES);
	char *base = take(usual, 40 * UNIT_PAGES, UNIT_PAGES); // or a fork is not worth the trouble

	kernel->advise_base(whole, machine.unit);
	kernel->split(whole);
	kernel->advise_huge(whole, machine.unit);
	ASSERT_FALSE(fake.huge(whole));
	release_note_fork();
	run(20 * SECOND);
	EXPECT_TRUE(fake.huge(whole));
	EXPECT_FALSE(fake.huge(base));
}

TEST_F(Fillers, BaseZonesStayOnBasePages)
{
	struct filler *base = open(with(zone_policy::ZONE_BASE, RELEASE_DEFAULT, true));

	zones_prove();
	struct filler *later = open(with(zone_policy::ZONE_BASE, RELEASE_DEFAULT, true));
	char *first = take(base, UNIT_PAGES, UNIT_PAGES),
	     *second = take(later, UNIT_PAGES, UNIT_PAGES);
	release_note_fork();
	run(20 * SECOND);
	fake.khugepaged();
	EXPECT_FALSE(fake.huge(first));
	EXPECT_FALSE(fake.huge(second));
	EXPECT_EQ(fake.collapses(), 0u);
}

TEST_F(Fillers, SlackOnBasePagesGoesWithoutASplit)
{
	struct filler *base = open(with(zone_policy::ZONE_BASE, RELEASE_DEFAULT, true));

	zones_prove();
	leave_slack(base, 60);
	EXPECT_EQ(backed(base), 60u * UNIT_PAGES);
	run(20 * SECOND);
	EXPECT_LT(backed(base), 60u * 100 + (32u << 20 >> machine.grain_shift));
	EXPECT_EQ(fake.splits() + fake.split_pmds() + fake.deferred_splits(), 0u);
}

// ---- release, heal ----

TEST_F(Fillers, WhatARuleKeepsIsKept)
{
	zones_prove();
	struct filler *usual = open(fake::ANY_FILLER);
	struct filler *keep = open(with(zone_policy::ZONE_WHEN_PROVEN, RELEASE_AS_KEEP, true));
	leave_slack(usual, 60);
	leave_slack(keep, 60);

	run(20 * SECOND);
	EXPECT_LT(backed(usual), 60u * UNIT_PAGES);
	EXPECT_EQ(backed(keep), 60u * UNIT_PAGES);
}

TEST_F(Fillers, WhatARuleWantsTightGoesAtOnce)
{
	zones_prove();
	struct filler *usual = open(fake::ANY_FILLER);
	struct filler *tight = open(with(zone_policy::ZONE_WHEN_PROVEN, RELEASE_AS_TIGHT, true));
	leave_slack(usual, 10);
	leave_slack(tight, 10);
	drop(tight, take(tight, 5 * UNIT_PAGES, UNIT_PAGES));

	run(SECOND / 10);
	EXPECT_EQ(backed(usual), 10u * UNIT_PAGES);
	EXPECT_EQ(backed(tight), 10u * 100);
	EXPECT_EQ(fake.deferred_splits(), 0u);
}

TEST_F(Fillers, WhatARuleWantsBalancedIsBoundedThoughTheOptionsKeep)
{
	options.release = RELEASE_KEEP;
	zones_prove();
	struct filler *usual = open(fake::ANY_FILLER);
	EXPECT_EQ(bound_pages(false), SIZE_MAX);
	struct filler *balanced =
		open(with(zone_policy::ZONE_WHEN_PROVEN, RELEASE_AS_BALANCED, true));
	leave_slack(usual, 60);
	leave_slack(balanced, 60);

	EXPECT_EQ(bound_pages(false), 32u << 20 >> machine.grain_shift);
	EXPECT_EQ(bound_slack(), 60u * 412 / 8 * 8);
	run(20 * SECOND);
	EXPECT_EQ(backed(usual), 60u * UNIT_PAGES);
	EXPECT_LT(backed(balanced), 60u * 100 + (32u << 20 >> machine.grain_shift));
	release_everything();
	EXPECT_EQ(backed(usual), 60u * UNIT_PAGES);
	EXPECT_EQ(backed(balanced), 60u * 100);
	release_demote(SIZE_MAX);
	EXPECT_EQ(backed(usual), 60u * 100) << "asked for, whatever the options say";
	EXPECT_EQ(fake.deferred_splits(), 0u);
}

// Under `keep` the slack that is kept does not count against what a rule wants bounded.
TEST_F(Fillers, WhatTheOptionsKeepDoesNotCountAgainstTheBound)
{
	options.release = RELEASE_KEEP;
	zones_prove();
	struct filler *usual = open(fake::ANY_FILLER);
	struct filler *balanced =
		open(with(zone_policy::ZONE_WHEN_PROVEN, RELEASE_AS_BALANCED, true));
	leave_slack(usual, 100);
	leave_slack(balanced, 4);

	run(20 * SECOND);
	EXPECT_EQ(backed(balanced), 4u * UNIT_PAGES);
	EXPECT_EQ(release_slack_pages(), 104u * 412);
}

TEST_F(Fillers, WhatIsNotToBeHealedStaysBroken)
{
	zones_prove();
	struct filler *usual = open(fake::ANY_FILLER);
	struct filler *never = open(with(zone_policy::ZONE_WHEN_PROVEN, RELEASE_DEFAULT, false));
	char *healed = take(usual, UNIT_PAGES, UNIT_PAGES),
	     *left = take(never, UNIT_PAGES, UNIT_PAGES);

	take(usual, 40 * UNIT_PAGES, UNIT_PAGES); // or a fork is not worth the trouble
	for (char *unit : {healed, left}) {
		kernel->advise_base(unit, machine.unit);
		kernel->split(unit);
		kernel->advise_huge(unit, machine.unit);
	}
	ASSERT_FALSE(fake.huge(healed));
	release_note_fork();
	run(20 * SECOND);
	EXPECT_TRUE(fake.huge(healed));
	EXPECT_FALSE(fake.huge(left));
}

// ---- nodes ----

TEST_F(Fillers, ZonesArePlacedAndPlacedAgainAfterARemap)
{
	filler_policy policy = fake::ANY_FILLER;

	fake.nodes = 2;
	policy.zone.placement = on(1);
	zones_prove();
	struct filler *f = open(policy);
	EXPECT_EQ(fake.placement(f->zones[0].zone.data.base).node, 1u);
	size_t before = fake.count(fake::PLACE);
	zone_readvise(&f->zones[0].zone, f->zones[0].zone.data.base, machine.unit);
	EXPECT_EQ(fake.count(fake::PLACE), before + 1);
}

TEST_F(Fillers, ANodeThatIsNotThereIsCountedAndTheMemoryServed)
{
	filler_policy policy = fake::ANY_FILLER;

	policy.zone.placement = on(5);
	struct filler *f = open(policy);
	EXPECT_EQ(stats.place_failures, 1u);
	take(f, 10);
}

} // namespace
