// The fake kernel's own checks: each must be able to fail a test, and to pass one.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstring>

#include "fake_kernel.h"

namespace
{

// 8 usable units, advised huge.
class Fake : public testing::Test
{
      protected:
	static constexpr size_t UNITS = 8;

	Fake()
	{
		fake.places_aligned = true;
		zone = static_cast<char *>(kernel->reserve(nullptr, (UNITS + 1) * machine.unit));
		kernel->make_usable(zone, UNITS * machine.unit);
		kernel->advise_huge(zone, (UNITS + 1) * machine.unit);
	}
	char *unit(size_t i)
	{
		return zone + i * machine.unit;
	}

	fake::Kernel fake;
	static char *zone; // EXPECT_NONFATAL_FAILURE sees only statics
};

char *Fake::zone;

TEST_F(Fake, MemoryIsReal)
{
	memset(unit(1), 1, machine.unit);
	memset(unit(2), 2, machine.unit);
	EXPECT_EQ(kernel->give_back(unit(1), machine.unit), 0);
	EXPECT_EQ(unit(1)[0], 0);
	EXPECT_EQ(unit(2)[0], 2);
}

TEST_F(Fake, ReservesAsBadlyAsItMay)
{
	fake.places_aligned = false;
	void *p = kernel->reserve(nullptr, machine.unit);
	EXPECT_EQ(uintptr_t(p) % machine.page, 0u);
	EXPECT_NE(uintptr_t(p) % machine.unit, 0u);
	EXPECT_EQ(kernel->unreserve(p, machine.unit), 0);
	char *hint = reinterpret_cast<char *>(0x7ed000000000);
	EXPECT_EQ(kernel->reserve(hint, machine.unit), hint);
	EXPECT_NE(kernel->reserve(hint, machine.unit), hint) << "taken";
}

TEST_F(Fake, TouchedUnitsAreHugeIfAdvised)
{
	unit(0)[5] = 1;
	EXPECT_TRUE(fake.huge(unit(0)));
	EXPECT_FALSE(fake.huge(unit(1))) << "not touched";
	EXPECT_EQ(fake.charged(), machine.unit);
	EXPECT_EQ(kernel->resident(zone, UNITS * machine.unit), machine.unit);
	kernel->advise_base(unit(2), machine.unit);
	unit(2)[5] = 1;
	EXPECT_FALSE(fake.huge(unit(2)));
	EXPECT_EQ(fake.charged(), machine.unit + machine.page);
}

TEST_F(Fake, AdviceComesTooLateForBasePages)
{
	kernel->advise_base(unit(0), machine.unit);
	unit(0)[5] = 1;
	kernel->advise_huge(unit(0), machine.unit);
	EXPECT_FALSE(fake.huge(unit(0)));
	EXPECT_EQ(fake.khugepaged(), 1u);
	EXPECT_TRUE(fake.huge(unit(0)));
	kernel->advise_base(unit(0), machine.unit);
	EXPECT_TRUE(fake.huge(unit(0))) << "K1: a huge page already there stays";
}

TEST_F(Fake, WholeReturnsSplitNothing)
{
	memset(zone, 1, 3 * machine.unit);
	EXPECT_EQ(kernel->give_back(zone, 3 * machine.unit), 0);
	EXPECT_EQ(fake.charged(), 0u);
	EXPECT_EQ(fake.deferred_splits(), 0u);
	zone[0] = 1;
	EXPECT_TRUE(fake.huge(zone)) << "K2: refaults huge";
}

TEST_F(Fake, PartialReturnIsADeferredSplit)
{
	zone[0] = 1;
	EXPECT_NONFATAL_FAILURE(kernel->give_back(zone, machine.unit / 2), "deferred split");
	EXPECT_EQ(fake.deferred_splits(), 1u);
	EXPECT_EQ(fake.charged(), machine.unit) << "K1: nothing is really free";
	EXPECT_EQ(kernel->give_back(zone, machine.unit), 0);
	EXPECT_EQ(fake.charged(), 0u);
}

TEST_F(Fake, TwoHalvesAreNotAWhole)
{
	kernel->advise_base(zone, machine.unit);
	zone[0] = zone[machine.unit - 1] = 1;
	kernel->advise_huge(zone, machine.unit);
	kernel->give_back(zone, machine.unit / 2);
	kernel->give_back(zone + machine.unit / 2, machine.unit / 2);
	zone[0] = 1;
	EXPECT_FALSE(fake.huge(zone)) << "K2: the page table is still there";
	kernel->give_back(zone, machine.unit);
	zone[0] = 1;
	EXPECT_TRUE(fake.huge(zone));
}

TEST_F(Fake, NobodyGivesBackWhatIsOwned)
{
	fake.own(unit(1), machine.page);
	EXPECT_NONFATAL_FAILURE(kernel->give_back(zone, 2 * machine.unit), "memory in use");
	EXPECT_NONFATAL_FAILURE(kernel->remap(unit(1), machine.unit), "memory in use");
	EXPECT_NONFATAL_FAILURE(kernel->move(unit(2), machine.unit, unit(1)), "memory in use");
	EXPECT_NONFATAL_FAILURE(kernel->unreserve(unit(1), machine.unit), "memory in use");
}

TEST_F(Fake, OwnersDoNotOverlap)
{
	fake.own(unit(1), 4 * machine.page);
	EXPECT_TRUE(fake.owned(unit(1) + 3 * machine.page));
	EXPECT_FALSE(fake.owned(unit(1) + 4 * machine.page));
	EXPECT_NONFATAL_FAILURE(
		fake::Kernel::current().own(zone + machine.unit + machine.page, machine.page),
		"in use already");
	EXPECT_NONFATAL_FAILURE(fake::Kernel::current().disown(zone, machine.page), "nobody owns");
	EXPECT_NONFATAL_FAILURE(
		fake::Kernel::current().own(zone + UNITS * machine.unit, machine.page),
		"cannot be used");
}

TEST_F(Fake, CountsUsedAndKeptUnits)
{
	fake.own(unit(1), machine.unit + machine.page);
	EXPECT_EQ(fake.used_units(), 2u);
	fake.disown(unit(1), machine.unit);
	EXPECT_EQ(fake.used_units(), 1u);
	EXPECT_EQ(fake.kept_units(), 1u);
	kernel->give_back(unit(1), machine.unit);
	EXPECT_EQ(fake.kept_units(), 0u);
	fake.own(unit(1), machine.page);
	EXPECT_EQ(fake.used_units(), 2u);
}

TEST_F(Fake, CallsOutsideOfReservations)
{
	EXPECT_NONFATAL_FAILURE(kernel->give_back(zone + (UNITS + 1) * machine.unit, machine.unit),
	                        "no reservation");
	EXPECT_NONFATAL_FAILURE(kernel->give_back(zone, (UNITS + 2) * machine.unit),
	                        "leaves its reservation");
	EXPECT_NONFATAL_FAILURE(kernel->give_back(zone + 1, machine.page), "not aligned");
}

TEST_F(Fake, FailsTheNthCall)
{
	fake.fail(fake::GIVE_BACK, 2, EAGAIN);
	EXPECT_EQ(kernel->give_back(zone, machine.unit), 0);
	EXPECT_EQ(kernel->advise_huge(zone, machine.unit), 0);
	EXPECT_FALSE(fake.failed());
	EXPECT_EQ(kernel->give_back(zone, machine.unit), EAGAIN);
	EXPECT_TRUE(fake.failed());
	EXPECT_EQ(kernel->give_back(zone, machine.unit), 0);
	fake.fail_always(fake::ANY);
	EXPECT_EQ(kernel->reserve(nullptr, machine.unit), nullptr);
	EXPECT_EQ(kernel->resident(zone, machine.unit), SIZE_MAX);
	EXPECT_EQ(kernel->collapse(zone), ENOMEM);
	fake.fail_nothing();
	EXPECT_EQ(kernel->advise_base(zone, machine.unit), 0);
}

TEST_F(Fake, RecordsEveryCall)
{
	fake.forget_events();
	kernel->give_back(unit(3), machine.unit);
	kernel->advise_base(unit(4), 2 * machine.unit);
	std::vector<fake::Event> events = fake.events();
	ASSERT_EQ(events.size(), 2u);
	EXPECT_EQ(events[0].call, fake::GIVE_BACK);
	EXPECT_EQ(events[0].addr, unit(3));
	EXPECT_EQ(events[1].call, fake::ADVISE_BASE);
	EXPECT_EQ(events[1].bytes, 2 * machine.unit);
	EXPECT_EQ(fake.count(), 2u);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 1u);
}

TEST_F(Fake, Limits)
{
	fake.usable_limit = (UNITS + 1) * machine.unit;
	EXPECT_EQ(kernel->make_usable(unit(UNITS), machine.unit), 0);
	fake.address_limit = 0;
	EXPECT_EQ(kernel->reserve(nullptr, machine.unit), nullptr);
	EXPECT_EQ(kernel->address_limit(), 0u);
	fake.address_limit = SIZE_MAX;
	void *more = kernel->reserve(nullptr, machine.unit);
	EXPECT_EQ(kernel->make_usable(more, machine.unit), ENOMEM);
}

// ---- splitting and healing ----

TEST_F(Fake, SplitThenGiveBackTheRest)
{
	zone[0] = zone[7 * machine.page] = 1;
	EXPECT_EQ(kernel->advise_base(zone, machine.unit), 0);
	EXPECT_EQ(kernel->split(zone), 0);
	EXPECT_EQ(fake.charged(), 2 * machine.page) << "K1: zero pages are freed by the split";
	EXPECT_EQ(fake.khugepaged(), 0u);
	EXPECT_EQ(kernel->give_back(zone + machine.page, machine.unit - machine.page), 0);
	EXPECT_EQ(fake.charged(), machine.page);
	EXPECT_EQ(fake.splits(), 1u);
	EXPECT_EQ(fake.deferred_splits(), 0u);
	EXPECT_EQ(zone[0], 1) << "contents are kept";
}

TEST_F(Fake, SplitWithoutAdviceIsNoticed)
{
	zone[0] = 1;
	EXPECT_NONFATAL_FAILURE(kernel->split(zone), "khugepaged");
	EXPECT_EQ(fake.khugepaged(), 1u) << "there it is again";
	EXPECT_NONFATAL_FAILURE(kernel->give_back(zone + machine.page, machine.page),
	                        "deferred split");
}

TEST_F(Fake, LockedPagesAreLeftAlone)
{
	zone[0] = 1;
	fake.lock_pages(zone, machine.unit);
	kernel->advise_base(zone, machine.unit);
	EXPECT_EQ(kernel->split(zone), EINVAL);
	EXPECT_EQ(kernel->give_back(zone, machine.unit), EINVAL);
	EXPECT_EQ(zone[0], 1);
}

TEST_F(Fake, SharedPagesAreNotSplitAndThatIsNoError)
{
	zone[0] = 1;
	kernel->advise_base(zone, machine.unit);
	EXPECT_TRUE(kernel->exclusive(zone));
	fake.share(zone, true);
	EXPECT_FALSE(kernel->exclusive(zone));
	EXPECT_EQ(kernel->split(zone), 0);
	EXPECT_TRUE(fake.huge(zone));
	EXPECT_NONFATAL_FAILURE(kernel->give_back(zone, machine.page), "deferred split");
}

TEST_F(Fake, SurveySaysWhatUnitsAre)
{
	struct kernel_unit seen[3];

	zone[0] = 1;
	kernel->advise_base(unit(1), machine.unit);
	unit(1)[0] = unit(1)[machine.page] = 1;
	ASSERT_EQ(kernel->survey(zone, 3, seen), 0);
	EXPECT_TRUE(seen[0].huge);
	EXPECT_EQ(seen[0].resident, 512u);
	EXPECT_FALSE(seen[1].huge);
	EXPECT_EQ(seen[1].resident, 2u);
	EXPECT_FALSE(seen[2].huge);
	EXPECT_EQ(seen[2].resident, 0u);
	fake.fail(fake::SURVEY, 1, ENOTTY);
	EXPECT_EQ(kernel->survey(zone, 3, seen), ENOTTY);
}

TEST_F(Fake, CollapseHealsAndPopulates)
{
	EXPECT_EQ(kernel->collapse(zone), EINVAL) << "untouched";
	zone[0] = 1;
	kernel->advise_base(zone, machine.unit);
	kernel->split(zone);
	EXPECT_EQ(kernel->collapse(zone), EINVAL) << "NOHUGEPAGE";
	kernel->advise_huge(zone, machine.unit);
	EXPECT_EQ(kernel->collapse(zone), 0);
	EXPECT_TRUE(fake.huge(zone));
	EXPECT_EQ(fake.collapses(), 1u);
	EXPECT_EQ(fake.charged(), machine.unit) << "K5: holes are populated";
	EXPECT_EQ(zone[0], 1);
	kernel->advise_base(unit(1), machine.unit / 2);
	unit(1)[0] = 1;
	EXPECT_EQ(kernel->collapse(unit(1)), EINVAL) << "cut inside the unit";
}

TEST_F(Fake, AdviceOnPartOfAHugePageSplitsItsMapping)
{
	zone[0] = 1;
	kernel->advise_base(zone, machine.unit / 2);
	EXPECT_EQ(fake.split_pmds(), 1u);
	EXPECT_FALSE(fake.huge(zone));
}

// ---- moving ----

TEST_F(Fake, MoveTakesContentsAndHugePages)
{
	memset(zone, 1, 2 * machine.unit);
	size_t vmas = fake.vmas(zone);
	EXPECT_EQ(kernel->move(zone, 2 * machine.unit, unit(4)), 0);
	EXPECT_EQ(unit(4)[0], 1);
	EXPECT_EQ(unit(6)[-1], 1);
	EXPECT_EQ(zone[0], 0);
	EXPECT_TRUE(fake.huge(unit(5)));
	EXPECT_EQ(fake.vmas(zone), vmas + 2) << "K3: the destination is a VMA of its own";
	EXPECT_EQ(kernel->remap(unit(4), 2 * machine.unit), 0);
	EXPECT_EQ(unit(4)[0], 0);
	EXPECT_EQ(fake.advice(unit(4)), fake::NONE);
	kernel->advise_huge(unit(4), 2 * machine.unit);
	EXPECT_EQ(fake.vmas(zone), vmas);
}

TEST_F(Fake, MoveOfTwoVmasLeavesAHole)
{
	kernel->move(zone, machine.unit, unit(4)); // so that [4, 6) is two VMAs
	EXPECT_EQ(kernel->move(unit(4), 2 * machine.unit, unit(6)), EFAULT);
	EXPECT_FALSE(fake.usable(unit(6)));
	EXPECT_EQ(kernel->remap(unit(6), 2 * machine.unit), 0);
	EXPECT_TRUE(fake.usable(unit(6)));
	unit(6)[0] = 1;
}

TEST_F(Fake, ClockIsSet)
{
	uint64_t before = kernel->now();

	fake.advance(1000);
	EXPECT_EQ(kernel->now(), before + 1000);
}

TEST_F(Fake, OtherCallsMayComeDuringACall)
{
	size_t seen = 0;

	fake.during = [&](const fake::Event &event) {
		if (event.call == fake::GIVE_BACK)
			seen = kernel->resident(zone, machine.unit);
	};
	zone[0] = 1;
	kernel->give_back(zone, machine.unit);
	EXPECT_EQ(seen, machine.unit) << "asked before the memory went";
}

} // namespace
