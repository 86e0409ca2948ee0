/* Memory that really comes back, and huge pages that come back too, on the real kernel.  Reads
 * /proc/vmstat, which counts for the whole machine: runs alone. */
#include "release_support.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <malloc.h>
#include <set>
#include <sys/mman.h>

using namespace release;
using support::GiB;
using support::KiB;
using support::vmstat;

namespace
{

constexpr size_t unit = 2 * MiB;
constexpr size_t full = 512 * MiB;

/* From 1 byte to 256 KiB, freed at random one by one: hardly a unit empties. */
constexpr Shape mixed = {1, full, 18, 1};
constexpr Shape mixed_threads = {8, full, 18, 1};
/* Up to 4 KiB: mimalloc gives back 64 KiB at a time, in which one survivor in ten leaves nothing
 * free; so neighbours go together. */
constexpr Shape small = {1, full, 12, 20000};
constexpr Shape small_threads = {8, full, 12, 20000};

bool nearly_all_is_huge()
{
	return coverage() >= 95;
}

/* mimalloc keeps pages of 64 KiB for each of its size classes in each thread, most of them nearly
 * empty after a drain: with eight threads 35 MiB were counted for 5 of small objects. */
constexpr size_t small_pages_of_thread = 4 * MiB;

/* What was freed is not held: the rest is less than its double. */
auto is_given_back(const Population &heap, unsigned threads = 1)
{
	return [&heap, threads] {
		return held() < 2 * heap.live() + (threads - 1) * small_pages_of_thread;
	};
}

std::string figures(const Population &heap)
{
	return "held " + std::to_string(held() / MiB) + " MiB, live " +
	       std::to_string(heap.live() / MiB) + ", slack " +
	       std::to_string(statistic("slack") / MiB) + ", retained " +
	       std::to_string(statistic("retained") / MiB) + ", demoted units " +
	       std::to_string(statistic("demoted_units")) + ", healed " +
	       std::to_string(statistic("healed_units")) + ", refused " +
	       std::to_string(statistic("heal_failures")) + ", coverage " +
	       std::to_string(coverage());
}

/* No huge page may be left partially mapped; with release:keep nothing may be split at all. */
class NoSplit : public testing::Test
{
      protected:
	const int64_t partial_ = support::partial_splits();
	const uint64_t split_ = vmstat("thp_split_page");

	void TearDown() override
	{
		EXPECT_EQ(support::partial_splits(), partial_);
		if (keeps()) {
			EXPECT_EQ(vmstat("thp_split_page"), split_);
		}
	}
};

class Cycle : public NoSplit, public testing::WithParamInterface<Shape>
{
};

TEST_P(Cycle, GivesBackAndIsHugeAgain)
{
	Population heap(GetParam());

	EXPECT_TRUE(wait_until(nearly_all_is_huge)) << figures(heap);
	heap.drain(90);
	if (!keeps()) {
		EXPECT_TRUE(wait_until(is_given_back(heap, GetParam().threads))) << figures(heap);
		EXPECT_GT(statistic("demoted_units"), 0u);
	}
	heap.check();
	ASSERT_EQ(heap.damaged(), 0u) << "by giving back";
	heap.grow();
	EXPECT_TRUE(heap.busy_until(nearly_all_is_huge)) << figures(heap);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u) << "by healing";
	EXPECT_EQ(statistic("demote_failures"), 0u);
}

INSTANTIATE_TEST_SUITE_P(Release, Cycle,
                         testing::Values(mixed, mixed_threads, small, small_threads));

using Trim = NoSplit;

TEST_F(Trim, GivesBackAtOnce)
{
	Population heap(mixed);

	heap.drain(90);
	malloc_trim(0);
	EXPECT_TRUE(is_given_back(heap)()) << figures(heap);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
	heap.drain(100);
	malloc_trim(0);
	EXPECT_LT(held(), heap.live() + 16 * MiB) << figures(heap);
}

/* Without healing: units that were demoted and then returned whole are huge again by their faults
 * alone. */
using Again = NoSplit;

TEST_F(Again, FaultsInHuge)
{
	Population heap(mixed);

	heap.drain(90);
	malloc_trim(0);
	EXPECT_GT(statistic("demoted_units"), 100u) << "nothing is tested";
	heap.drain(100);
	malloc_trim(0);
	heap.grow();
	EXPECT_TRUE(nearly_all_is_huge()) << figures(heap);
	EXPECT_EQ(statistic("healed_units"), 0u);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
}

/* After the last free there is no call that could do the work. */
using Idle = NoSplit;

TEST_F(Idle, ProcessGivesBack)
{
	Population heap(mixed);

	heap.drain(90);
	EXPECT_TRUE(wait_until(is_given_back(heap))) << figures(heap);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
	heap.drain(100);
	EXPECT_TRUE(wait_until([&heap] { return held() < heap.live() + 24 * MiB; }))
		<< figures(heap);
}

size_t threads_of_this_process()
{
	std::string stat = support::first_line("/proc/self/stat");
	size_t at = stat.rfind(')');

	/* Field 20; the second is the name, in parentheses. */
	for (int field = 2; field < 20; field++)
		at = stat.find(' ', at + 1);
	return strtoul(stat.c_str() + at, nullptr, 10);
}

/* The keeper goes when nothing is left to wait for, and comes again when there is. */
class Keeper : public NoSplit, public testing::WithParamInterface<Shape>
{
};

TEST_P(Keeper, ComesAgainToHeal)
{
	Population heap(GetParam());

	heap.drain(90);
	EXPECT_TRUE(wait_until(is_given_back(heap))) << figures(heap);
	EXPECT_TRUE(wait_until([] { return threads_of_this_process() == 1; })) << figures(heap);
	heap.grow();
	EXPECT_TRUE(heap.busy_until(nearly_all_is_huge)) << figures(heap);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Release, Keeper, testing::Values(mixed, small));

/* With background:off there is no thread: the calls themselves do the work. */
using Calls = NoSplit;

void call_a_little()
{
	for (size_t size = 1000; size < MiB; size *= 3) {
		void *blocks[8];

		for (void *&p : blocks)
			p = memset(malloc(size), 1, size);
		for (void *p : blocks)
			free(p);
	}
}

TEST_F(Calls, GiveBackAndHeal)
{
	Population heap(mixed);
	auto given_back = is_given_back(heap);

	heap.drain(90);
	EXPECT_TRUE(wait_until([&] {
		call_a_little();
		return given_back();
	})) << figures(heap);
	EXPECT_EQ(threads_of_this_process(), 1u);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
	heap.grow();
	EXPECT_TRUE(wait_until([] {
		call_a_little();
		return nearly_all_is_huge();
	})) << figures(heap);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
}

/* ---- khugepaged puts nothing together that we took apart ---- */

/* Advised memory of which one page is resident: khugepaged fills it up. */
class Bait
{
      public:
	Bait()
	{
		void *p = mmap(nullptr, 2 * unit, PROT_READ | PROT_WRITE,
		               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		auto begin = (reinterpret_cast<uintptr_t>(p) + unit - 1) / unit * unit;

		mapping_ = p;
		page_ = reinterpret_cast<char *>(begin);
		madvise(page_, unit, MADV_NOHUGEPAGE);
		page_[0] = 1;
		madvise(page_, unit, MADV_HUGEPAGE);
	}

	~Bait()
	{
		munmap(mapping_, 2 * unit);
	}

	/* Neighbours are filled only by a huge page. */
	bool taken() const
	{
		unsigned char resident = 0;

		mincore(page_ + unit / 2, 4 * KiB, &resident);
		return resident & 1;
	}

      private:
	void *mapping_;
	char *page_;
};

/* When it has taken a second bait that was laid after it took the first, it has been through all
 * addresses of this process. */
bool khugepaged_went_round()
{
	for (int i = 0; i < 2; i++) {
		Bait bait;

		if (!wait_until([&bait] { return bait.taken(); }))
			return false;
	}
	return true;
}

using Khugepaged = NoSplit;

TEST_F(Khugepaged, DoesNotUndoDemotion)
{
	Population heap(mixed);
	size_t most = 0;

	heap.drain(90);
	ASSERT_TRUE(wait_until(is_given_back(heap))) << figures(heap);
	malloc_trim(0);
	size_t settled = held();
	for (int round = 0; round < 10; round++) {
		ASSERT_TRUE(khugepaged_went_round()) << "it does not run here at all";
		most = std::max(most, held());
	}
	EXPECT_LT(most, settled + 4 * MiB) << figures(heap);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
	heap.grow();
	EXPECT_TRUE(heap.busy_until(nearly_all_is_huge)) << figures(heap);
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
}

/* ---- locked memory stays ---- */

std::set<uintptr_t> units_of(Population &heap)
{
	std::set<uintptr_t> units;

	heap.each([&](const Object &object) {
		units.insert(reinterpret_cast<uintptr_t>(object.data) / unit * unit);
	});
	return units;
}

/* Some from the middle, where they are surely the heap's from end to end; no more than any user
 * may lock. */
std::vector<void *> lock_some_units(Population &heap)
{
	std::set<uintptr_t> units = units_of(heap);
	std::vector<void *> locked;
	size_t number = 0;

	for (uintptr_t address : units) {
		void *p = reinterpret_cast<void *>(address);

		if (number++ % (units.size() / 3) == units.size() / 6 && mlock(p, unit) == 0)
			locked.push_back(p);
	}
	return locked;
}

size_t resident_pages(void *p)
{
	unsigned char seen[unit / (4 * KiB)] = {};
	size_t count = 0;

	mincore(p, unit, seen);
	for (unsigned char page : seen)
		count += page & 1;
	return count;
}

using Locked = NoSplit;

TEST_F(Locked, MemoryIsLeftAlone)
{
	Population heap(mixed);
	std::vector<void *> locked = lock_some_units(heap);

	ASSERT_EQ(locked.size(), 3u);
	heap.drain(90);
	malloc_trim(0);
	EXPECT_GT(statistic("demoted_units"), 0u);
	EXPECT_GE(statistic("demote_failures"), 1u);
	for (void *p : locked)
		EXPECT_EQ(resident_pages(p), unit / (4 * KiB));
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
	heap.grow();
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
	for (void *p : locked)
		munlock(p, unit);
}

} // namespace
