// The filler: exact small scenarios, random operations against a model, every system call failing
// in turn, many threads, and its invariants.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fake_kernel.h"
#include "pace.h"
#include "random.h"

extern "C" {
#include "pmd/demand.h"
#include "pmd/filler.h"
#include "report/stats.h"
}

namespace
{

using test::Random;

// ---- contents ----

// What page `page` of an extent holds in its first and its last word.
uint64_t pattern(uint64_t stamp, size_t page)
{
	return Random::mix(stamp * 0x10001 + page) | 1;
}

struct Extent {
	char *p;
	size_t pages;
	uint64_t stamp;

	uint64_t *first_word(size_t page) const
	{
		return reinterpret_cast<uint64_t *>(p + (page << machine.grain_shift));
	}
	uint64_t *last_word(size_t page) const
	{
		return first_word(page + 1) - 1;
	}
	size_t bytes() const
	{
		return pages << machine.grain_shift;
	}
	void write_page(size_t page) const
	{
		*first_word(page) = *last_word(page) = pattern(stamp, page);
	}
	// The first page, the last, and one in the middle.
	void write() const
	{
		for (size_t page : {size_t(0), pages / 2, pages - 1})
			write_page(page);
	}
	void check_page(size_t page) const
	{
		EXPECT_EQ(*first_word(page), pattern(stamp, page))
			<< "page " << page << " of " << pages << " at " << static_cast<void *>(p);
		EXPECT_EQ(*last_word(page), pattern(stamp, page))
			<< "page " << page << " of " << pages << " at " << static_cast<void *>(p);
	}
	void check() const
	{
		for (size_t page : {size_t(0), pages / 2, pages - 1})
			check_page(page);
	}
	// Everything that write() may ever have left here, or for a long extent a part of it.
	void check_zero(Random &random) const
	{
		constexpr size_t ALL = 256;

		for (size_t i = 0; i < std::min(pages, ALL); i++) {
			size_t page = pages <= ALL ? i : random.below(pages);

			ASSERT_EQ(*first_word(page) | *last_word(page), 0u)
				<< "page " << page << " of " << pages << " is said to be zero";
		}
	}
};

// ---- the fixture: a filler on one zone ----

class FillerOn
{
      public:
	explicit FillerOn(size_t units = 16, size_t page = 4096, size_t unit = 2u << 20,
	                  bool proven = true)
	    : fake(page, unit), filler(new struct filler())
	{
		filler_init(f(), &fake::ANY_FILLER);
		if (proven)
			zones_prove();
		EXPECT_EQ(filler_add_zone(f(), nullptr, units * machine.unit, machine.unit), 0);
		fake.forget_events();
	}
	struct filler *f()
	{
		return filler.get();
	}
	char *unit(size_t i, size_t zone = 0)
	{
		return filler->zones[zone].zone.data.base + i * machine.unit;
	}
	struct unit *about(size_t i, size_t zone = 0)
	{
		return reinterpret_cast<struct unit *>(filler->zones[zone].units.base) + i;
	}
	size_t top(size_t zone = 0)
	{
		return filler->zones[zone].top;
	}
	char *take(size_t pages, size_t align = 1, size_t growth = 0)
	{
		filler_request request = {pages, align, growth};

		return static_cast<char *>(filler_alloc(f(), &request, &zero));
	}
	// And make use of it, so that the kernel has something to say about it.
	char *take_and_write(size_t pages, size_t align = 1)
	{
		char *p = take(pages, align);

		EXPECT_NE(p, nullptr);
		if (p) {
			fake.own(p, pages << machine.grain_shift);
			for (size_t i = 0; i < pages; i++)
				p[i << machine.grain_shift] = 1;
		}
		return p;
	}
	void drop(char *p)
	{
		fake.disown(p, filler_size(f(), p) << machine.grain_shift);
		filler_free(f(), p);
	}
	bool consistent()
	{
		return filler_consistent(f());
	}

	fake::Kernel fake;
	std::unique_ptr<struct filler> filler;
	bool zero = false;
};

// An extent that need not be aligned may lie across the border of two units; this one does not.
constexpr size_t INSIDE = 2;

class Filler : public testing::Test, public FillerOn
{
};

TEST_F(Filler, BeginsEmpty)
{
	EXPECT_TRUE(consistent());
	EXPECT_EQ(filler_kept(f()), 0u);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 0u);
	EXPECT_EQ(filler_zone_of(f(), unit(0)), &filler->zones[0]);
	EXPECT_EQ(filler_zone_of(f(), unit(16)), nullptr);
	EXPECT_EQ(filler_zone_of(f(), &zero), nullptr);
	EXPECT_EQ(filler_size(f(), unit(0)), 0u);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 0u);
}

TEST_F(Filler, PacksSmallExtentsIntoOneUnit)
{
	char *a = take(10), *b = take(20), *c = take(400);

	EXPECT_EQ(a, unit(0));
	EXPECT_EQ(b, a + 10 * machine.grain);
	EXPECT_EQ(c, b + 20 * machine.grain);
	EXPECT_TRUE(zero);
	EXPECT_EQ(filler_size(f(), b), 20u);
	EXPECT_EQ(filler_size(f(), b + machine.grain), 0u) << "not its start";
	EXPECT_EQ(filler_size(f(), b + 1), 0u);
	EXPECT_EQ(take(100, INSIDE), unit(1)) << "82 pages are left";
	EXPECT_EQ(take(82), unit(0) + 430 * machine.grain) << "the tightest fit";
	EXPECT_EQ(demand_now(), 2u);
	EXPECT_EQ(stats.large_used, 612 * machine.grain);
	EXPECT_EQ(filler_free(f(), b), 20u);
	EXPECT_EQ(take(15), b) << "the fullest unit that fits";
	EXPECT_FALSE(zero);
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, AlignsWithinAUnit)
{
	take(1);
	for (size_t align = 1; align <= UNIT_PAGES; align *= 2)
		for (size_t pages : {size_t(1), size_t(3), align, size_t(511)}) {
			char *p = take(pages, align);

			if (!p)
				continue; // the zone is small
			EXPECT_EQ(uintptr_t(p) % (align * machine.grain), 0u)
				<< pages << " " << align;
			EXPECT_TRUE(consistent());
			filler_free(f(), p);
		}
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, AlignsToUnits)
{
	take(1);
	for (size_t align : {1, 2, 4}) {
		char *p = take(700, align * UNIT_PAGES);

		ASSERT_NE(p, nullptr);
		EXPECT_EQ(uintptr_t(p) % (align * machine.unit), 0u);
		char *small = take(5, align * UNIT_PAGES);
		ASSERT_NE(small, nullptr);
		EXPECT_EQ(uintptr_t(small) % (align * machine.unit), 0u);
		EXPECT_TRUE(consistent());
		filler_free(f(), p);
		filler_free(f(), small);
	}
}

TEST_F(Filler, LargeOnesTakeUnitsAndLeaveTheirTailToOthers)
{
	char *p = take(2 * UNIT_PAGES + 100);

	EXPECT_EQ(p, unit(0));
	EXPECT_EQ(demand_now(), 3u);
	EXPECT_EQ(take(50), unit(2) + 100 * machine.grain);
	EXPECT_TRUE(consistent());
	filler_free(f(), p);
	EXPECT_EQ(filler_kept(f()), 2u) << "the third is not free";
	EXPECT_EQ(demand_now(), 1u);
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, AUnitIsNoPart)
{
	char *p = take(UNIT_PAGES);

	EXPECT_EQ(about(0)->state, UNIT_WHOLE);
	EXPECT_TRUE(filler_resize(f(), p, 3 * UNIT_PAGES)) << "it can grow";
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, SizesNobodyCanHave)
{
	take(1);
	for (unsigned shift = 14; shift < 64; shift++) {
		EXPECT_EQ(take(1ull << shift), nullptr) << shift;
		EXPECT_EQ(take(1ull << shift, 1ull << shift), nullptr) << shift;
		if (shift > 31) {
			EXPECT_EQ(take(1, 1ull << shift), nullptr) << shift;
		}
	}
	EXPECT_TRUE(consistent());
	char *p = take(1);
	EXPECT_FALSE(filler_resize(f(), p, 1ull << 40));
	EXPECT_FALSE(filler_resize(f(), p, 1ull << 31));
	EXPECT_EQ(filler_size(f(), p), 1u);
	p = take(UNIT_PAGES);
	EXPECT_FALSE(filler_resize(f(), p, 1ull << 40));
	EXPECT_FALSE(filler_resize(f(), p, 1ull << 31));
	EXPECT_FALSE(filler_resize(f(), p, 17 * UNIT_PAGES));
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, FullAndEmptyAgain)
{
	std::vector<char *> all;

	while (char *p = take(UNIT_PAGES / 4))
		all.push_back(p);
	EXPECT_EQ(all.size(), 64u) << "every page of the zone";
	EXPECT_TRUE(consistent());
	for (char *p : all)
		filler_free(f(), p);
	EXPECT_EQ(filler_kept(f()), 16u);
	EXPECT_EQ(demand_now(), 0u);
	EXPECT_EQ(stats.large_used, 0u);
	EXPECT_NE(take(16 * UNIT_PAGES), nullptr) << "free neighbours were joined";
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, SeparateNeighboursAreJoined)
{
	char *p[6];

	for (char *&each : p)
		each = take(UNIT_PAGES);
	for (int i : {1, 3, 2})
		filler_free(f(), p[i]);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 3u);
	ASSERT_EQ(fake.count(fake::GIVE_BACK), 1u);
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[0].addr, unit(1));
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[0].bytes, 3 * machine.unit);
	EXPECT_EQ(take(3 * UNIT_PAGES), unit(1));
	EXPECT_TRUE(zero) << "it was returned";
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, ReturnsTheLongestRunFirstAndNoMoreThanAsked)
{
	char *p[10];

	for (char *&each : p)
		each = take(UNIT_PAGES);
	for (int i : {0, 2, 3, 4, 6, 7})
		filler_free(f(), p[i]);
	EXPECT_EQ(filler_return(f(), 0), 0u);
	EXPECT_EQ(filler_return(f(), 2), 2u);
	ASSERT_EQ(fake.events(fake::GIVE_BACK).size(), 1u);
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[0].addr, unit(3)) << "the end of the longest";
	EXPECT_EQ(filler_kept(f()), 4u);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 4u);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 4u) << "three runs were left";
	EXPECT_EQ(stats.returned_units, 6u);
	EXPECT_EQ(stats.return_calls, 4u);
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, ReturnedUnitsBelowTheTopLowerIt)
{
	char *a = take(UNIT_PAGES), *b = take(3 * UNIT_PAGES);

	EXPECT_EQ(top(), 4u);
	filler_free(f(), b);
	EXPECT_EQ(top(), 4u) << "kept";
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 3u);
	EXPECT_EQ(top(), 1u);
	filler_free(f(), a);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
	EXPECT_EQ(top(), 0u);
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, KeptUnitsAreTakenFirstAndAreNotZero)
{
	char *a = take_and_write(UNIT_PAGES), *b = take_and_write(UNIT_PAGES);

	drop(a);
	EXPECT_EQ(take(UNIT_PAGES), a);
	EXPECT_FALSE(zero);
	EXPECT_EQ(filler_kept(f()), 0u);
	drop(b);
	EXPECT_EQ(take(7), b);
	EXPECT_FALSE(zero);
}

TEST_F(Filler, ZeroIsPerPage)
{
	char *a = take(10);

	filler_free(f(), take(20));
	EXPECT_EQ(take(20), a + 10 * machine.grain);
	EXPECT_FALSE(zero);
	EXPECT_EQ(take(5), a + 30 * machine.grain);
	EXPECT_TRUE(zero) << "never used";
}

TEST_F(Filler, LeavesRoomToGrow)
{
	char *p = take(UNIT_PAGES, 1, 3);

	EXPECT_EQ(p, unit(0));
	EXPECT_EQ(top(), 4u);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(take(UNIT_PAGES, 1, 3), unit(4)) << "does not take the other's room";
	EXPECT_TRUE(filler_resize(f(), p, 4 * UNIT_PAGES));
	EXPECT_FALSE(filler_resize(f(), p, 5 * UNIT_PAGES));
	EXPECT_TRUE(consistent());
	while (take(UNIT_PAGES, 1, 8))
		EXPECT_TRUE(consistent());
	EXPECT_EQ(filler->clean.units, 0u) << "rather than to fail, the room is taken";
}

// Extents of a third of a unit and more would leave much unused if each had to lie in one unit.
TEST_F(Filler, LiesAcrossBorders)
{
	std::vector<char *> all;

	for (int i = 0; i < 8; i++)
		all.push_back(take_and_write(340));
	EXPECT_LE(demand_now(), 6u) << "8 times 340 pages are 5.3 units";
	EXPECT_TRUE(consistent());
	for (char *p : all)
		drop(p);
	EXPECT_EQ(demand_now(), 0u);
	EXPECT_EQ(filler_kept(f()), fake.kept_units());
	filler_return(f(), SIZE_MAX);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(top(), 0u);
}

// ---- resizing ----

TEST_F(Filler, GrowsIntoFreePages)
{
	char *a = take(10), *b = take(10), *c = take(10);

	EXPECT_EQ(take(500, INSIDE), unit(1));
	EXPECT_FALSE(filler_resize(f(), a, 11));
	EXPECT_EQ(filler_size(f(), a), 10u);
	filler_free(f(), b);
	EXPECT_TRUE(filler_resize(f(), a, 20));
	EXPECT_FALSE(filler_resize(f(), a, 21));
	EXPECT_TRUE(filler_resize(f(), c, 512 - 20)) << "to the end of the unit";
	EXPECT_FALSE(filler_resize(f(), c, 512 - 19));
	EXPECT_EQ(stats.large_used, 1012 * machine.grain);
	EXPECT_TRUE(consistent());
	EXPECT_TRUE(filler_resize(f(), a, 20)) << "the same";
	EXPECT_TRUE(filler_resize(f(), a, 1));
	EXPECT_EQ(stats.large_used, 993 * machine.grain);
	EXPECT_EQ(take(19), a + machine.grain);
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, EveryLargeResize)
{
	const size_t sizes[] = {512, 513, 600, 1023, 1024, 1025, 1500, 1536, 2048, 2100, 3000};

	for (size_t from : sizes)
		for (size_t to : sizes) {
			char *p = take(from);

			ASSERT_NE(p, nullptr);
			EXPECT_TRUE(filler_resize(f(), p, to)) << from << " to " << to;
			EXPECT_EQ(filler_size(f(), p), to);
			EXPECT_TRUE(consistent()) << from << " to " << to;
			EXPECT_EQ(demand_now(), (to + 511) / 512);
			EXPECT_TRUE(filler_resize(f(), p, 3)) << "less than a unit";
			EXPECT_TRUE(consistent()) << from << " to " << to << " to 3";
			EXPECT_EQ(demand_now(), 1u);
			EXPECT_EQ(filler_free(f(), p), 3u);
			EXPECT_EQ(demand_now(), 0u);
			if (from % 2)
				filler_return(f(), SIZE_MAX);
			EXPECT_TRUE(consistent());
		}
	EXPECT_EQ(stats.large_used, 0u);
}

TEST_F(Filler, ASharedTailCannotGrowPastItsUnit)
{
	char *p = take(UNIT_PAGES + 100), *other = take(10);

	EXPECT_EQ(other, unit(1) + 100 * machine.grain);
	EXPECT_FALSE(filler_resize(f(), p, UNIT_PAGES + 101));
	EXPECT_FALSE(filler_resize(f(), p, 2 * UNIT_PAGES));
	EXPECT_TRUE(filler_resize(f(), p, UNIT_PAGES + 50));
	EXPECT_TRUE(filler_resize(f(), p, UNIT_PAGES + 100));
	filler_free(f(), other);
	EXPECT_TRUE(filler_resize(f(), p, 2 * UNIT_PAGES));
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, GrowsIntoAFreeRunAndBeyondTheTop)
{
	char *a = take(UNIT_PAGES), *b = take(2 * UNIT_PAGES);

	filler_free(f(), b);
	EXPECT_TRUE(filler_resize(f(), a, 6 * UNIT_PAGES + 5)) << "2 kept, then fresh ones";
	EXPECT_TRUE(consistent());
	EXPECT_EQ(demand_now(), 7u);
	EXPECT_FALSE(filler_resize(f(), a, 16 * UNIT_PAGES + 1));
	EXPECT_TRUE(filler_resize(f(), a, 16 * UNIT_PAGES));
	EXPECT_TRUE(consistent());
}

// ---- moving ----

TEST_F(Filler, MovesWholeUnits)
{
	char *from = take_and_write(3 * UNIT_PAGES + 7), *to = take(4 * UNIT_PAGES, UNIT_PAGES);

	memset(from, 5, 3 * machine.unit);
	EXPECT_EQ(filler_move(f(), from, to), 3 * machine.unit);
	EXPECT_EQ(to[0], 5);
	EXPECT_EQ(to[3 * machine.unit - 1], 5);
	EXPECT_EQ(from[0], 0);
	EXPECT_EQ(stats.realloc_moved_units, 3u);
	drop(from);
	size_t vmas = fake.vmas(to);
	filler_free(f(), to);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 8u);
	EXPECT_LT(fake.vmas(to), vmas);
	EXPECT_LE(fake.vmas(to), 2u) << "all VMAs have merged: usable, and not yet";
	EXPECT_EQ(fake.advice(to), fake::HUGE_PAGES);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(kernel->resident(unit(0), 8 * machine.unit), 0u);
}

TEST_F(Filler, MovesNothingThatIsNotAUnit)
{
	char *small = take(1), *a = take(100), *b = take(UNIT_PAGES);

	EXPECT_EQ(filler_move(f(), small, b), 0u);
	EXPECT_EQ(filler_move(f(), a, b), 0u);
	EXPECT_EQ(fake.count(fake::MOVE), 0u);
}

TEST_F(Filler, RefusedMovesLeaveBothAsTheyWere)
{
	char *from = take_and_write(2 * UNIT_PAGES), *to = take(2 * UNIT_PAGES);

	fake.fail(fake::MOVE);
	EXPECT_EQ(filler_move(f(), from, to), 0u);
	EXPECT_EQ(from[0], 1);
	memcpy(to, from, 2 * machine.unit);
	EXPECT_TRUE(consistent());
}

// Linux before 6.17 finds out that it cannot when the destination is gone already.
TEST_F(Filler, TheDestinationOfARefusedMoveIsThere)
{
	char *from = take_and_write(UNIT_PAGES), *to = take(UNIT_PAGES);

	ASSERT_EQ(filler_move(f(), from, to), machine.unit);
	drop(from);
	ASSERT_TRUE(filler_resize(f(), to, 3 * UNIT_PAGES)) << "two VMAs now";
	char *next = take(3 * UNIT_PAGES);
	EXPECT_EQ(filler_move(f(), to, next), 0u);
	ASSERT_TRUE(fake.usable(next));
	ASSERT_TRUE(fake.usable(next + 3 * machine.unit - 1));
	memcpy(next, to, 3 * machine.unit);
	EXPECT_EQ(next[0], 1);
	EXPECT_EQ(fake.advice(next), fake::HUGE_PAGES);
	EXPECT_TRUE(consistent());
}

// ---- failures ----

TEST_F(Filler, RefusedReturnsAreKept)
{
	char *p = take_and_write(2 * UNIT_PAGES);

	take(1);
	drop(p);
	fake.fail(fake::GIVE_BACK);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 0u);
	EXPECT_EQ(stats.return_failures, 1u);
	EXPECT_EQ(filler_kept(f()), 2u);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(take(UNIT_PAGES), p);
	EXPECT_FALSE(zero);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, StrictOvercommit)
{
	std::vector<char *> all;

	fake.usable_limit = 9 * machine.unit;
	while (char *p = take_and_write(UNIT_PAGES)) {
		all.push_back(p);
		ASSERT_TRUE(consistent());
		if (all.size() == 5)
			fake.usable_limit = 0; // whatever was granted is what there is
		if (all.size() > 4 && !(zero = false, take(1)))
			break;
	}
	ASSERT_GE(all.size(), 5u);
	EXPECT_TRUE(consistent());
	drop(all.back());
	EXPECT_EQ(take(UNIT_PAGES), all.back()) << "what was granted can be used again";
}

TEST(FillerZones, NoMoreThanThereIsRoomFor)
{
	FillerOn on(2);

	for (size_t i = 1; i < FILLER_ZONES; i++)
		ASSERT_EQ(filler_add_zone(on.f(), nullptr, 2 * machine.unit, machine.unit), 0);
	EXPECT_EQ(filler_add_zone(on.f(), nullptr, 2 * machine.unit, machine.unit), ENOMEM);
	size_t n = 0;
	for (zone *z = zones_first(); z; z = z->next)
		n++;
	EXPECT_EQ(n, size_t(FILLER_ZONES));
	// Each of them is used, and found again.
	std::vector<char *> all;
	while (char *p = on.take(UNIT_PAGES + 100)) {
		EXPECT_EQ(filler_size(on.f(), p), UNIT_PAGES + 100u);
		all.push_back(p);
	}
	EXPECT_EQ(all.size(), size_t(FILLER_ZONES));
	EXPECT_TRUE(on.consistent());
	for (char *p : all)
		filler_free(on.f(), p);
	EXPECT_EQ(filler_return(on.f(), SIZE_MAX), 2u * FILLER_ZONES);
	EXPECT_TRUE(on.consistent());
}

TEST(FillerZones, EachCallFailingInTurn)
{
	size_t nth = 0;

	for (bool more = true; more;) {
		fake::Kernel fake;
		std::unique_ptr<struct filler> f(new struct filler());
		filler_request request = {10, 1, 0};
		bool zero;

		filler_init(f.get(), &fake::ANY_FILLER);
		fake.fail(fake::ANY, ++nth);
		int error = filler_add_zone(f.get(), nullptr, 8 * machine.unit, 8 * machine.unit);
		more = fake.failed();
		fake.fail_nothing();
		if (error) {
			EXPECT_EQ(error, ENOMEM);
			EXPECT_EQ(zones_first(), nullptr) << "a zone that is not there";
			EXPECT_EQ(filler_alloc(f.get(), &request, &zero), nullptr);
			ASSERT_EQ(filler_add_zone(f.get(), nullptr, 8 * machine.unit,
			                          8 * machine.unit),
			          0);
		}
		ASSERT_EQ(zones_first(), &f->zones[0].zone);
		ASSERT_EQ(zones_first()->next, nullptr);
		EXPECT_EQ(stats.zones, 1u);
		EXPECT_NE(filler_alloc(f.get(), &request, &zero), nullptr);
		EXPECT_TRUE(filler_consistent(f.get()));
	}
	EXPECT_GT(nth, 6u);
}

// ---- while a return is under way ----

TEST_F(Filler, NobodyTakesAUnitThatIsOnItsWay)
{
	char *a = take_and_write(UNIT_PAGES), *b = take_and_write(2 * UNIT_PAGES);

	take_and_write(1);
	drop(b);
	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::GIVE_BACK)
			return;
		fake.during = nullptr;
		EXPECT_EQ(filler_kept(f()), 0u);
		EXPECT_TRUE(consistent());
		EXPECT_FALSE(filler_resize(f(), a, 2 * UNIT_PAGES));
		char *other = take_and_write(UNIT_PAGES);
		EXPECT_GE(other, unit(4));
		drop(other);
		drop(a);
		EXPECT_EQ(filler_kept(f()), 2u);
		EXPECT_TRUE(consistent());
	};
	EXPECT_EQ(filler_return(f(), 2), 2u);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(filler_kept(f()), 2u);
}

// ---- demotion and healing ----

TEST_F(Filler, DemotesTheUnitWithTheMostSlack)
{
	char *full = take_and_write(500);
	char *some[4];

	for (char *&p : some)
		p = take_and_write(128, INSIDE);
	for (int i : {0, 2, 3})
		drop(some[i]);
	EXPECT_EQ(filler_slack(f()), 12u + 384u);
	EXPECT_EQ(filler_worst_slack(f()), 384u);
	EXPECT_EQ(filler_demote(f(), 385), 0u) << "no unit has so much";
	size_t charged = fake.charged();
	EXPECT_EQ(filler_demote(f(), 100), 384u);
	EXPECT_EQ(charged - fake.charged(), 384 * machine.grain);
	EXPECT_EQ(fake.splits(), 1u);
	EXPECT_EQ(fake.deferred_splits() + fake.split_pmds(), 0u);
	EXPECT_EQ(filler_slack(f()), 12u);
	EXPECT_EQ(filler->demoted_units, 1u);
	EXPECT_EQ(fake.khugepaged(), 0u) << "it is advised not to";
	EXPECT_TRUE(consistent());
	for (size_t i = 0; i < 128; i++)
		EXPECT_EQ(some[1][i << machine.grain_shift], 1) << "contents are kept";
	char *again = take(100, INSIDE);
	EXPECT_EQ(again, some[0]);
	EXPECT_TRUE(zero) << "given back pages read zero";
	EXPECT_EQ(full[0], 1);
	EXPECT_TRUE(consistent());
}

TEST_F(Filler, AnEmptiedDemotedUnitIsHugeAgainAtItsNextUse)
{
	char *a = take_and_write(100), *b = take_and_write(100);

	take_and_write(400, INSIDE);
	drop(a);
	EXPECT_GT(filler_demote(f(), 8), 0u);
	drop(b);
	EXPECT_EQ(filler_kept(f()), 1u);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_EQ(fake.advice(a), fake::HUGE_PAGES);
	EXPECT_LE(fake.vmas(a), 2u);
	EXPECT_EQ(take_and_write(UNIT_PAGES, UNIT_PAGES), a);
	EXPECT_TRUE(fake.huge(a));
	EXPECT_TRUE(consistent());
}

// What could not be given back is not zero, whatever was given back beside it.
TEST_F(Filler, APartOfADemotionThatIsRefused)
{
	for (size_t nth : {1, 2, 3}) {
		char *p[5];

		for (char *&each : p)
			each = take_and_write(100);
		for (int i : {0, 2, 4})
			drop(p[i]);
		fake.fail(fake::GIVE_BACK, nth, EINVAL);
		filler_demote(f(), 8);
		EXPECT_TRUE(fake.failed());
		fake.fail_nothing();
		EXPECT_TRUE(consistent());
		for (int i : {0, 2, 4}) {
			char *q = take(100);

			ASSERT_NE(q, nullptr);
			if (zero) {
				for (size_t page = 0; page < 100; page++)
					ASSERT_EQ(q[page << machine.grain_shift], 0)
						<< "call " << nth << ", extent " << i;
			}
			fake.own(q, 100 * machine.grain);
			memset(q, 1, 100 * machine.grain);
		}
		take_and_write(12); // and on to a unit of its own
	}
}

TEST_F(Filler, WhatCannotBeSplitIsLeftAlone)
{
	char *a = take_and_write(100), *b = take_and_write(100);

	take_and_write(400, INSIDE);
	drop(a);
	fake.share(unit(0), true);
	EXPECT_EQ(filler_demote(f(), 8), 0u) << "shared with a child";
	fake.share(unit(0), false);
	EXPECT_EQ(fake.splits(), 0u);
	EXPECT_TRUE(fake.huge(unit(0)));
	EXPECT_EQ(fake.advice(unit(0)), fake::HUGE_PAGES);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(b[0], 1);
}

TEST_F(Filler, DemotionWithEachCallFailing)
{
	for (fake::Call call : {fake::EXCLUSIVE, fake::ADVISE_BASE, fake::SPLIT, fake::SURVEY,
	                        fake::GIVE_BACK, fake::ANY}) {
		char *a = take_and_write(200), *b = take_and_write(300);

		drop(a);
		fake.fail_always(call, EINVAL);
		filler_demote(f(), 8);
		fake.fail_nothing();
		EXPECT_TRUE(consistent()) << call;
		EXPECT_EQ(fake.deferred_splits(), 0u);
		for (size_t i = 0; i < 300; i++)
			ASSERT_EQ(b[i << machine.grain_shift], 1);
		drop(b);
		EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
		EXPECT_EQ(demand_now(), 0u);
		EXPECT_EQ(fake.advice(b), call == fake::ANY ? fake.advice(b) : fake::HUGE_PAGES)
			<< call << ": huge again at its next use";
		EXPECT_EQ(fake.charged(), kernel->resident(filler->zones[0].units.base,
		                                           filler->zones[0].units.ready) +
		                                  kernel->resident(filler->zones[0].sizes.base,
		                                                   filler->zones[0].sizes.ready))
			<< "only what we note is left";
	}
}

TEST_F(Filler, FreesDuringADemotion)
{
	char *a = take_and_write(100), *b = take_and_write(100);

	take_and_write(400, INSIDE);
	drop(a);
	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::SPLIT)
			return;
		fake.during = nullptr;
		drop(b); // now the unit is empty
		EXPECT_NE(take_and_write(50) - unit(0), 0) << "nobody may take of it";
		EXPECT_TRUE(consistent());
	};
	filler_demote(f(), 8);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(filler_kept(f()), 1u);
	EXPECT_EQ(filler_return(f(), SIZE_MAX), 1u);
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_EQ(fake.deferred_splits(), 0u);
}

class FillerHeal : public Filler
{
      protected:
	heal_result heal()
	{
		return filler_heal(f(), &walk, &limits);
	}
	heal_walk walk = {};
	heal_limits limits = {384, 1000, 16};
};

TEST_F(FillerHeal, NothingToDo)
{
	take_and_write(UNIT_PAGES);
	EXPECT_EQ(heal(), HEAL_NONE);
	EXPECT_EQ(heal(), HEAL_NONE);
	EXPECT_EQ(fake.collapses(), 0u);
	EXPECT_GT(walk.rounds, 0u);
}

TEST_F(FillerHeal, ADemotedUnitThatIsFullEnoughAgain)
{
	char *a = take_and_write(200);

	take_and_write(200);
	take_and_write(400, INSIDE);
	drop(a);
	EXPECT_EQ(filler_demote(f(), 8), 312u);
	EXPECT_EQ(heal(), HEAL_NONE) << "200 pages are not enough";
	take_and_write(200);
	EXPECT_EQ(heal(), HEAL_DONE);
	EXPECT_TRUE(fake.huge(unit(0)));
	EXPECT_EQ(fake.advice(unit(0)), fake::HUGE_PAGES);
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_EQ(walk.grown, 112u);
	EXPECT_EQ(stats.healed_units, 1u);
	EXPECT_EQ(a[250 << machine.grain_shift], 1);
	EXPECT_TRUE(consistent());
}

TEST_F(FillerHeal, WhatTheKernelRefuses)
{
	char *a = take_and_write(100);

	take_and_write(400, INSIDE);
	drop(a);
	EXPECT_GT(filler_demote(f(), 8), 0u);
	for (fake::Call call : {fake::COLLAPSE, fake::ADVISE_HUGE}) {
		fake.fail_always(call, EAGAIN);
		for (int i = 0; i < 4; i++)
			EXPECT_NE(heal(), HEAL_DONE);
		fake.fail_nothing();
		EXPECT_TRUE(consistent());
		EXPECT_FALSE(fake.huge(unit(0)));
		EXPECT_EQ(fake.advice(unit(0)), fake::BASE_PAGES) << "khugepaged may not, either";
		EXPECT_EQ(filler->demoted_units, 1u);
	}
	limits.growth = 50;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(heal(), HEAL_NONE) << "memory would grow by too much";
}

TEST_F(FillerHeal, OnKernelsThatDoNotSay)
{
	char *a = take_and_write(100);

	take_and_write(400, INSIDE);
	drop(a);
	EXPECT_GT(filler_demote(f(), 8), 0u);
	fake.fail_always(fake::SURVEY, ENOTTY);
	EXPECT_EQ(heal(), HEAL_DONE) << "what was demoted is known all the same";
	EXPECT_TRUE(fake.huge(unit(0)));
	EXPECT_EQ(filler->demoted_units, 0u);
	EXPECT_TRUE(consistent());
}

// ---- random operations ----

struct Shape {
	const char *name;
	size_t page, unit, units;
	size_t longest; // pages
	bool proven;
	bool surgery; // demote and heal, too
};

class FillerRandom : public testing::TestWithParam<Shape>, public FillerOn
{
      protected:
	explicit FillerRandom(uint64_t stream = 5)
	    : FillerOn(GetParam().units, GetParam().page, GetParam().unit, GetParam().proven),
	      random(stream)
	{
	}
	size_t random_pages()
	{
		if (random.one_in(8))
			return random.between(1, GetParam().longest);
		return random.spread(GetParam().longest);
	}
	void alloc()
	{
		filler_request request = {random_pages(), 1, 0};

		if (random.one_in(4))
			request.align = 1ull << random.below(random.one_in(4) ? 12 : 7);
		if (random.one_in(8))
			request.growth = random.below(4);
		Extent e = {static_cast<char *>(filler_alloc(f(), &request, &zero)), request.pages,
		            ++stamp};
		if (!e.p)
			return check_refusal(request);
		ASSERT_EQ(uintptr_t(e.p) % (request.align << machine.grain_shift), 0u);
		ASSERT_EQ(filler_size(f(), e.p), e.pages);
		fake.own(e.p, e.bytes());
		if (zero)
			e.check_zero(random);
		e.write();
		extents.push_back(e);
	}
	// With every call granted, a small request fails only if no unit has room for it.
	void check_refusal(const filler_request &request)
	{
		refusals++;
		if (fake.failed() || request.align > 1 || request.pages >= UNIT_PAGES ||
		    !random.one_in(16))
			return;
		for (size_t u = 0; u < GetParam().units; u++)
			ASSERT_LT(free_run(u), request.pages) << "unit " << u << " has room";
	}
	size_t free_run(size_t u)
	{
		size_t longest = 0, run = 0;

		for (size_t i = 0; i < UNIT_PAGES; i++) {
			run = fake.owned(unit(u) + (i << machine.grain_shift)) ? 0 : run + 1;
			longest = std::max(longest, run);
		}
		return longest;
	}
	void free_one(size_t i)
	{
		Extent e = extents[i];

		e.check();
		fake.disown(e.p, e.bytes());
		ASSERT_EQ(filler_free(f(), e.p), e.pages);
		extents[i] = extents.back();
		extents.pop_back();
	}
	void resize(size_t i)
	{
		Extent &e = extents[i];
		size_t old = e.pages, pages = random_pages();

		e.check();
		if (pages < old)
			fake.disown(e.p + (pages << machine.grain_shift),
			            (old - pages) << machine.grain_shift);
		bool done = filler_resize(f(), e.p, pages);
		ASSERT_TRUE(done || pages > old);
		ASSERT_EQ(filler_size(f(), e.p), done ? pages : old);
		if (!done)
			return;
		if (pages > old)
			fake.own(e.p + (old << machine.grain_shift),
			         (pages - old) << machine.grain_shift);
		for (size_t page : {size_t(0), old / 2, old - 1})
			if (page < pages)
				e.check_page(page);
		e.pages = pages;
		e.write();
	}
	// The target of a move may be a hole now, which nobody may touch; realloc gives it up for
	// good.  Here it is mapped again, so that all can be counted in the end.
	void mend(char *to, const Extent &e)
	{
		size_t bytes = e.pages / UNIT_PAGES * machine.unit;

		fake.fail_nothing();
		ASSERT_EQ(kernel->remap(to, bytes), 0);
		ASSERT_EQ(kernel->advise_huge(to, bytes), 0);
		fake.own(to, e.bytes());
		fake.disown(to, e.bytes());
		filler_free(f(), to);
	}
	// Move an extent as realloc does: what the kernel does not move is copied.
	void move(size_t i)
	{
		Extent &e = extents[i];
		filler_request request = {e.pages, 1, 0};

		if (e.pages < UNIT_PAGES)
			return;
		char *to = static_cast<char *>(filler_alloc(f(), &request, &zero));
		if (!to)
			return;
		size_t moved = filler_move(f(), e.p, to);
		if (moved == SIZE_MAX)
			return mend(to, e);
		ASSERT_TRUE(fake.usable(to));
		fake.own(to, e.bytes());
		Extent copy = {to, e.pages, e.stamp};
		for (size_t page : {size_t(0), e.pages / 2, e.pages - 1})
			if (page << machine.grain_shift >= moved)
				copy.write_page(page);
			else
				copy.check_page(page);
		fake.disown(e.p, e.bytes());
		filler_free(f(), e.p);
		e = copy;
	}
	void give_back()
	{
		heal_limits limits = {unsigned(random.between(64, 500)), random.below(512), 8};

		if (!GetParam().surgery || random.one_in(3))
			filler_return(f(), random.spread(8));
		else if (random.one_in(2))
			demoted += filler_demote(f(), random.between(8, 256)) > 0;
		else
			healed += filler_heal(f(), &walk, &limits) == HEAL_DONE;
		if (random.one_in(16))
			fake.khugepaged();
	}
	void step()
	{
		size_t i = extents.empty() ? 0 : random.below(extents.size());
		// Fill and drain in turns.
		unsigned bias = (steps++ >> 9) % 2 ? 5 : 8;
		unsigned what = unsigned(random.below(16));

		if (extents.empty() || what < bias)
			alloc();
		else if (what < 12)
			free_one(i);
		else if (what < 14)
			resize(i);
		else if (what == 14)
			move(i);
		else
			give_back();
	}
	void check()
	{
		ASSERT_TRUE(consistent());
		ASSERT_EQ(filler_kept(f()), fake.kept_units());
		ASSERT_EQ(demand_now(), fake.used_units());
		ASSERT_EQ(fake.deferred_splits() + fake.split_pmds(), 0u);
	}
	void check_all()
	{
		size_t pages = 0;

		check();
		for (const Extent &e : extents) {
			e.check();
			pages += e.pages;
		}
		ASSERT_EQ(stats.large_used, pages << machine.grain_shift);
	}
	void run(size_t operations)
	{
		for (size_t i = 0; i < operations; i++) {
			ASSERT_NO_FATAL_FAILURE(step()) << "step " << i;
			ASSERT_FALSE(HasNonfatalFailure()) << "step " << i;
			ASSERT_NO_FATAL_FAILURE(check()) << "step " << i;
			if (i % 1024)
				continue;
			ASSERT_NO_FATAL_FAILURE(check_all()) << "step " << i;
			fake.forget_events();
		}
	}
	// Free all; then nothing may be lost.
	void drain()
	{
		fake.fail_nothing();
		check_all();
		while (!extents.empty())
			free_one(extents.size() - 1);
		filler_return(f(), SIZE_MAX);
		check();
		EXPECT_EQ(stats.large_used, 0u);
		EXPECT_EQ(demand_now(), 0u);
		EXPECT_EQ(filler_kept(f()), 0u);
		EXPECT_EQ(filler->demoted_units, 0u);
		EXPECT_EQ(filler_slack(f()), 0u);
		for (size_t z = 0; z < filler->zone_count; z++) {
			prefix &data = filler->zones[z].zone.data;

			EXPECT_EQ(kernel->resident(data.base, data.ready), 0u);
			EXPECT_LE(fake.vmas(data.base), 2u) << "VMAs have merged";
		}
		EXPECT_NE(take(GetParam().units * UNIT_PAGES), nullptr) << "the whole zone";
	}

	Random random;
	std::vector<Extent> extents;
	heal_walk walk = {};
	uint64_t stamp = 0;
	size_t steps = 0, refusals = 0, demoted = 0, healed = 0;
};

INSTANTIATE_TEST_SUITE_P(Shapes, FillerRandom,
                         testing::Values(Shape{"small", 4096, 2u << 20, 16, 64, true, false},
                                         Shape{"mixed", 4096, 2u << 20, 64, 1500, true, false},
                                         Shape{"large", 4096, 2u << 20, 64, 6000, true, false},
                                         Shape{"one_unit", 4096, 2u << 20, 1, 512, true, false},
                                         Shape{"unproven", 4096, 2u << 20, 32, 1500, false, false},
                                         Shape{"surgery", 4096, 2u << 20, 32, 1500, true, true},
                                         Shape{"surgery_small", 4096, 2u << 20, 16, 200, true,
                                               true},
                                         Shape{"page16K", 16384, 32u << 20, 16, 1500, true, true},
                                         Shape{"page64K", 65536, 32u << 20, 16, 1500, true, true}),
                         [](const testing::TestParamInfo<Shape> &info) { return info.param.name; });

TEST_P(FillerRandom, AgainstAModel)
{
	TRACE_SEED();
	run(test::effort(GetParam().page > 4096 ? 30000 : 100000)); // their pages are dear
	if (HasFatalFailure())
		return;
	EXPECT_TRUE(refusals || !test::full_effort()) << "the zone was never full";
	if (GetParam().surgery && test::full_effort()) {
		EXPECT_GT(demoted, 0u);
		EXPECT_GT(healed, 0u);
	}
	drain();
}

class FillerRandomFailures : public FillerRandom
{
      protected:
	FillerRandomFailures() : FillerRandom(6)
	{
	}
};

INSTANTIATE_TEST_SUITE_P(Shapes, FillerRandomFailures,
                         testing::Values(Shape{"mixed", 4096, 2u << 20, 32, 1500, true, false},
                                         Shape{"surgery", 4096, 2u << 20, 32, 1500, true, true},
                                         Shape{"page64K", 65536, 32u << 20, 8, 1500, true, true}),
                         [](const testing::TestParamInfo<Shape> &info) { return info.param.name; });

TEST_P(FillerRandomFailures, NothingIsLost)
{
	TRACE_SEED();
	for (size_t i = 0; i < test::effort(30000); i++) {
		if (random.one_in(8))
			fake.fail(random.one_in(2) ? fake::ANY
			                           : fake::Call(random.below(fake::CALLS)),
			          random.between(1, 3), random.one_in(2) ? ENOMEM : EINVAL,
			          random.between(1, 4));
		ASSERT_NO_FATAL_FAILURE(step()) << "step " << i;
		ASSERT_FALSE(HasNonfatalFailure()) << "step " << i;
		ASSERT_NO_FATAL_FAILURE(check()) << "step " << i;
	}
	// Advice that was refused leaves VMAs apart; what is free is taken afresh to mend it.
	fake.fail_nothing();
	check_all();
	while (!extents.empty())
		free_one(extents.size() - 1);
	filler_return(f(), SIZE_MAX);
	check();
	EXPECT_EQ(demand_now(), 0u);
	EXPECT_EQ(filler_kept(f()), 0u);
	EXPECT_EQ(kernel->resident(unit(0), filler->zones[0].zone.data.ready), 0u);
	EXPECT_NE(take(GetParam().units * UNIT_PAGES), nullptr) << "the whole zone";
}

// The same short life with its nth call refused, for every n.
TEST(FillerFailures, EachCallFailingInTurn)
{
	size_t nth = 0;

	for (bool more = true; more;) {
		FillerOn on(16);
		std::vector<Extent> all;
		uint64_t stamp = 0;
		heal_walk walk = {};
		heal_limits limits = {64, 512, 16};

		on.fake.fail(fake::ANY, ++nth);
		SCOPED_TRACE("call " + std::to_string(nth));
		for (size_t pages : {10, 200, 400, 600, 1024, 1500, 3, 100}) {
			Extent e = {on.take(pages), pages, ++stamp};
			if (!e.p)
				continue;
			on.fake.own(e.p, e.bytes());
			e.write();
			all.push_back(e);
			EXPECT_TRUE(on.consistent());
		}
		auto drop = [&](size_t i) {
			if (i >= all.size())
				return;
			all[i].check();
			on.drop(all[i].p);
			all.erase(all.begin() + long(i));
			EXPECT_TRUE(on.consistent());
		};
		if (!all.empty() && all.back().pages < 400 &&
		    filler_resize(on.f(), all.back().p, 400)) {
			on.fake.own(all.back().p + all.back().bytes(),
			            (400 - all.back().pages) << machine.grain_shift);
			all.back().check_page(0);
			all.back().pages = 400;
			all.back().write();
		}
		drop(1);
		drop(2);
		filler_demote(on.f(), 8);
		EXPECT_TRUE(on.consistent());
		filler_return(on.f(), 1);
		filler_heal(on.f(), &walk, &limits);
		EXPECT_TRUE(on.consistent());
		char *from = on.take(1024), *to = on.take(1024);
		if (from && to) {
			memset(from, 7, machine.unit);
			size_t moved = filler_move(on.f(), from, to);
			ASSERT_NE(moved, SIZE_MAX) << "two calls failed";
			EXPECT_EQ((moved ? to : from)[machine.unit - 1], 7);
			EXPECT_TRUE(on.fake.usable(to));
			memset(to, 8, 2 * machine.unit);
		}
		for (char *p : {from, to})
			if (p)
				filler_free(on.f(), p);
		filler_return(on.f(), SIZE_MAX);
		EXPECT_TRUE(on.consistent());
		more = on.fake.failed();
		on.fake.fail_nothing();
		while (!all.empty())
			drop(0);
		filler_return(on.f(), SIZE_MAX);
		EXPECT_TRUE(on.consistent());
		EXPECT_EQ(filler_kept(on.f()), 0u);
		EXPECT_EQ(demand_now(), 0u);
		EXPECT_EQ(stats.large_used, 0u);
		EXPECT_EQ(on.fake.deferred_splits(), 0u);
		EXPECT_EQ(kernel->resident(on.unit(0), on.filler->zones[0].zone.data.ready), 0u);
		EXPECT_NE(on.take(16 * UNIT_PAGES), nullptr) << "nothing was lost";
		if (testing::Test::HasFailure())
			return;
	}
	EXPECT_GT(nth, 15u);
}

// ---- threads ----

class FillerThreads : public testing::Test, public FillerOn
{
      protected:
	static constexpr size_t THREADS = 4;

	FillerThreads() : FillerOn(32)
	{
	}
	// Extents are freed by whichever thread comes first, as objects of a program are.
	void put(const Extent &e)
	{
		std::lock_guard<std::mutex> hold(mutex);

		shared.push_back(e);
	}
	bool get(Extent *e)
	{
		std::lock_guard<std::mutex> hold(mutex);

		if (shared.empty())
			return false;
		*e = shared.front();
		shared.pop_front();
		return true;
	}
	void free_one(const Extent &e)
	{
		e.check();
		fake.disown(e.p, e.bytes());
		EXPECT_EQ(filler_free(f(), e.p), e.pages);
	}
	void resize(Extent *e, size_t pages)
	{
		size_t old = e->pages;

		if (pages < old)
			fake.disown(e->p + (pages << machine.grain_shift),
			            (old - pages) << machine.grain_shift);
		if (!filler_resize(f(), e->p, pages))
			return;
		if (pages > old)
			fake.own(e->p + (old << machine.grain_shift),
			         (pages - old) << machine.grain_shift);
		e->check_page(0);
		e->pages = pages;
		e->write();
	}
	void step(Random &random)
	{
		filler_request request = {random.spread(1200), 1ull << random.below(4), 0};
		bool is_zero = false;
		Extent e = {static_cast<char *>(filler_alloc(f(), &request, &is_zero)),
		            request.pages, random.next()};

		if (e.p) {
			fake.own(e.p, e.bytes());
			if (is_zero)
				e.check_zero(random);
			e.write();
			if (random.one_in(2))
				resize(&e, random.spread(1200));
			e.check();
			put(e);
		}
		if ((!e.p || random.one_in(2)) && get(&e))
			free_one(e);
		if (random.one_in(8) && get(&e))
			free_one(e);
	}
	// What one thread at a time may do.
	void keep(Random &random)
	{
		heal_limits limits = {300, 212, 8};

		switch (random.below(4)) {
		case 0:
			demoted += filler_demote(f(), 64) > 0;
			break;
		case 1:
			filler_heal(f(), &walk, &limits);
			break;
		default:
			returned += filler_return(f(), random.spread(4));
		}
		seen_all = returned > 100 && demoted > 10;
		EXPECT_LE(filler_kept(f()), 32u);
		EXPECT_LE(filler_slack(f()), 32u * UNIT_PAGES);
		EXPECT_LE(filler_worst_slack(f()), size_t(UNIT_PAGES));
		EXPECT_TRUE(consistent());
	}

	std::mutex mutex;
	std::deque<Extent> shared;
	heal_walk walk = {};
	size_t returned = 0, demoted = 0;
	std::atomic<bool> seen_all{false}; // workers go on until both have happened
};

TEST_F(FillerThreads, EverythingAtOnce)
{
	TRACE_SEED();
	std::vector<std::thread> threads;
	std::atomic<bool> stop{false};
	test::Pace pace;

	for (size_t t = 0; t < THREADS; t++)
		threads.emplace_back([&, t] {
			Random random(200 + t);

			for (size_t i = 0; i < test::effort(40000) || !seen_all; i++) {
				step(random);
				pace.work_done();
			}
		});
	std::thread keeper([&] {
		Random random(300);

		while (!stop) {
			keep(random);
			pace.wait_for_work();
		}
	});
	for (std::thread &thread : threads)
		thread.join();
	stop = true;
	pace.work_done();
	keeper.join();
	for (Extent e; get(&e);)
		free_one(e);
	filler_return(f(), SIZE_MAX);
	EXPECT_TRUE(consistent());
	EXPECT_EQ(filler_kept(f()), 0u);
	EXPECT_EQ(demand_now(), 0u);
	EXPECT_EQ(stats.large_used, 0u);
	EXPECT_EQ(kernel->resident(unit(0), filler->zones[0].zone.data.ready), 0u);
	EXPECT_EQ(fake.deferred_splits() + fake.split_pmds(), 0u);
}

// ---- hidden extents, and frees of what is none ----

TEST_F(Filler, HiddenExtentsAreNotThere)
{
	char *p = take(5);

	filler_hide(f(), p);
	EXPECT_EQ(filler_size(f(), p), 0u);
	filler_show(f(), p);
	EXPECT_EQ(filler_size(f(), p), 5u);
	EXPECT_EQ(filler_free(f(), p), 5u);
}

TEST_F(Filler, FreeingWhatIsNoExtentIsFatal)
{
	char *p = take(5);

	EXPECT_DEATH(filler_free(f(), p + machine.grain), "internal error");
	filler_hide(f(), p);
	EXPECT_DEATH(filler_free(f(), p), "internal error");
	filler_show(f(), p);
	filler_free(f(), p);
	EXPECT_DEATH(filler_free(f(), p), "internal error");
}

// ---- the invariants can fail ----

class FillerBroken : public Filler
{
      protected:
	// Unit 0 is partly used, 1 and 2 are whole, 3 is clean, 4 is used, 5 is kept, 6 is used.
	void SetUp() override
	{
		char *p[7];

		take(100);
		for (int i = 1; i < 7; i++)
			p[i] = take(UNIT_PAGES, UNIT_PAGES);
		filler_free(f(), p[3]);
		filler_return(f(), SIZE_MAX);
		filler_free(f(), p[5]);
		ASSERT_TRUE(consistent());
		ASSERT_EQ(about(0)->state, UNIT_PART);
		ASSERT_EQ(about(1)->state, UNIT_WHOLE);
		ASSERT_EQ(about(3)->state, UNIT_CLEAN);
		ASSERT_EQ(about(5)->state, UNIT_KEPT);
		ASSERT_EQ(top(), 7u);
	}
};

#define BREAKS(name, ...)                                                                          \
	TEST_F(FillerBroken, name)                                                                 \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		EXPECT_FALSE(consistent());                                                        \
	}

BREAKS(UsedCount, about(0)->used_count++)
BREAKS(UsedBits, about(0)->used.w[7] |= 1)
BREAKS(TouchedBits, about(0)->touched.w[0] = 0)
BREAKS(Longest, about(0)->longest--)
BREAKS(Slack, about(0)->slack--)
BREAKS(PartState, about(0)->state = UNIT_WHOLE)
BREAKS(WholeState, about(1)->state = UNIT_PART)
BREAKS(UnusedBelowTheTop, about(1)->state = UNIT_UNUSED)
BREAKS(UnknownState, about(1)->state = 77)
BREAKS(WholeWithAHole, bits_clear(&about(1)->used, 5, 1); about(1)->used_count--)
BREAKS(CleanButTouched, about(3)->touched.w[0] = 1)
BREAKS(CleanButDemoted, about(3)->demoted = about(3)->broken = true; filler->demoted_units++)
BREAKS(CleanState, about(3)->state = UNIT_KEPT)
BREAKS(KeptState, about(5)->state = UNIT_CLEAN)
BREAKS(KeptAsBusy, about(5)->state = UNIT_BUSY)
BREAKS(RunLength, about(5)->run = 2)
BREAKS(NoRunLength, about(5)->run = 0)
BREAKS(RunsNotJoined, filler_free(f(), unit(4)); about(5)->run = 1; about(4)->run = 1)
BREAKS(KeptUnits, filler->kept.units++)
BREAKS(CleanUnits, filler->clean.units--)
BREAKS(WholeUnits, filler->whole_units++)
BREAKS(DemotedUnits, filler->demoted_units++)
BREAKS(DemotedButWhole, about(1)->demoted = true; filler->demoted_units++)
BREAKS(PackUnits, filler->pack.units++)
BREAKS(PackUsedPages, filler->pack.used_pages--)
BREAKS(PackSlackPages, filler->pack.slack_pages++)
BREAKS(PackFilledWithoutAUnit, filler->pack.fit_filled[PACK_DENSE][0] |= 2)
BREAKS(PackUnitNotFilled, filler->pack.fit_filled[PACK_HUGE][412 / 64] = 0)
BREAKS(PackSlackFilled, filler->pack.slack_filled[0] |= 2)
BREAKS(PackListedAsHuge, about(0)->broken = true)
BREAKS(Top, filler->zones[0].top--)

} // namespace
