/* The C API, by a program that is linked with the library.  Nothing gives back or heals but what is
 * asked for here: UNSPLIT_CONF=release:keep,heal:0,background:off. */
#include "support.h"

#include <unsplit/unsplit.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

constexpr size_t unit = 2 * MiB;

/* Functions have the same names, as with stat(2). */
using Stats = struct unsplit_stats;
using Memory = struct unsplit_memory;

Stats stats()
{
	Stats s;

	EXPECT_EQ(unsplit_stats(&s, sizeof s), 0);
	return s;
}

uint64_t statistic(const char *name)
{
	uint64_t value = 0;

	EXPECT_EQ(unsplit_stat(name, &value), 0) << name;
	return value;
}

Memory memory()
{
	Memory m;

	EXPECT_EQ(unsplit_memory(&m, sizeof m), 0);
	return m;
}

double coverage()
{
	Memory m = memory();

	return static_cast<double>(m.huge) / static_cast<double>(m.resident);
}

std::string option(const char *name)
{
	char value[256];

	EXPECT_EQ(unsplit_get(name, value, sizeof value), 0) << name;
	return value;
}

/* Sets an option for the rest of a test. */
class Setting
{
      public:
	Setting(const char *name, const char *value) : name_(name), before_(option(name))
	{
		EXPECT_EQ(unsplit_set(name, value), 0) << name << " " << value;
		EXPECT_EQ(option(name), value);
	}
	Setting(const Setting &) = delete;
	~Setting()
	{
		EXPECT_EQ(unsplit_set(name_, before_.c_str()), 0);
	}

      private:
	const char *name_;
	std::string before_;
};

/* Blocks of 64 KiB with known contents, of which most can be freed so that no unit empties. */
class Blocks
{
      public:
	explicit Blocks(size_t total) : blocks_(total / size)
	{
		fill_gaps();
	}
	~Blocks()
	{
		for (void *p : blocks_)
			free(p);
	}
	Blocks(const Blocks &) = delete;

	void thin_out()
	{
		for (size_t i = 0; i < blocks_.size(); i++) {
			if (i % 8 == 0)
				continue;
			free(blocks_[i]);
			blocks_[i] = nullptr;
		}
	}

	void fill_gaps()
	{
		for (size_t i = 0; i < blocks_.size(); i++) {
			if (blocks_[i])
				continue;
			blocks_[i] = malloc(size);
			fill(blocks_[i], size, static_cast<unsigned>(i));
		}
	}

	bool intact() const
	{
		for (size_t i = 0; i < blocks_.size(); i++)
			if (blocks_[i] && !filled(blocks_[i], size, static_cast<unsigned>(i)))
				return false;
		return true;
	}

      private:
	static constexpr size_t size = 64 * KiB;
	std::vector<void *> blocks_;
};

/* No free unit is held that another test broke, or would have to break. */
class Trimmed : public testing::Test
{
      protected:
	void SetUp() override
	{
		unsplit_trim();
	}
};
using UnsplitStats = Trimmed;
using UnsplitMemory = Trimmed;
using UnsplitSet = Trimmed;
using UnsplitHugeAfter = Trimmed;
using UnsplitDemote = Trimmed;
using UnsplitHeal = Trimmed;
using UnsplitPlan = Trimmed;
using UnsplitRegion = Trimmed;

/* ---- statistics ---- */

TEST_F(UnsplitStats, FollowUse)
{
	auto before = stats();
	void *small = malloc(1000), *large = malloc(32 * MiB);
	auto during = stats();

	EXPECT_EQ(before.size, sizeof before);
	EXPECT_EQ(before.unit, unit);
	EXPECT_GE(during.large_used, before.large_used + 32 * MiB);
	EXPECT_GE(during.used_peak, 32 * MiB);
	free(large);
	free(small);
	EXPECT_LE(stats().large_used, before.large_used);
	EXPECT_GE(stats().retained, 30 * MiB) << "release:keep waits for a delay";
	unsplit_trim();
	EXPECT_EQ(stats().retained, 0u);
	EXPECT_GE(stats().returned_units, before.returned_units + 15);
}

TEST_F(UnsplitStats, GiveAnOlderProgramWhatItKnows)
{
	std::array<uint64_t, 4> s;

	s.fill(77);
	EXPECT_EQ(unsplit_stats(reinterpret_cast<Stats *>(s.data()), 16), 0);
	EXPECT_EQ(s, (std::array<uint64_t, 4>{16, unit, 77, 77}));
}

TEST_F(UnsplitStats, GiveANewerProgramZeros)
{
	struct {
		Stats known;
		uint64_t later;
	} s;

	s.later = 77;
	EXPECT_EQ(unsplit_stats(&s.known, sizeof s), 0);
	EXPECT_EQ(s.known.size, sizeof s.known);
	EXPECT_EQ(s.later, 0u);
}

TEST_F(UnsplitStats, RefuseNonsense)
{
	Stats s;
	Memory m;
	uint64_t value;

	EXPECT_EQ(unsplit_stats(nullptr, sizeof s), EINVAL);
	EXPECT_EQ(unsplit_stats(&s, 7), EINVAL);
	EXPECT_EQ(unsplit_memory(nullptr, sizeof m), EINVAL);
	EXPECT_EQ(unsplit_memory(&m, 0), EINVAL);
	EXPECT_EQ(unsplit_stat("weather", &value), ENOENT);
	EXPECT_EQ(unsplit_stat(nullptr, &value), EINVAL);
	EXPECT_EQ(unsplit_stat("forks", nullptr), EINVAL);
}

TEST_F(UnsplitStats, HaveAName)
{
	auto all = stats();

	EXPECT_EQ(statistic("large_used"), all.large_used);
	EXPECT_EQ(statistic("healed_units"), all.healed_units);
	EXPECT_GE(statistic("threads"), 1u);
}

TEST_F(UnsplitMemory, SaysWhatTheKernelGave)
{
	auto before = memory();
	void *p = malloc(64 * MiB);

	memset(p, 1, 64 * MiB);
	auto after = memory();
	EXPECT_GE(after.resident, before.resident + 62 * MiB);
	EXPECT_GE(after.huge, before.huge + 60 * MiB);
	EXPECT_GE(after.in_range, after.resident);
	EXPECT_EQ(after.whole, 0u);
	free(p);
	unsplit_trim();
	EXPECT_LE(memory().resident, before.resident + 4 * MiB);
}

/* ---- options ---- */

TEST_F(UnsplitSet, RefusesWhatCannotBe)
{
	EXPECT_EQ(unsplit_set("relase", "keep"), ENOENT);
	EXPECT_EQ(unsplit_set("release", "loose"), EINVAL);
	EXPECT_EQ(unsplit_set("heal", "200"), EINVAL);
	EXPECT_EQ(unsplit_set(nullptr, "keep"), EINVAL);
	EXPECT_EQ(unsplit_set("release", nullptr), EINVAL);
	for (const char *fixed : {"huge", "small_max", "map", "background", "strict"})
		EXPECT_EQ(unsplit_set(fixed, option(fixed).c_str()), EPERM) << fixed;
	EXPECT_EQ(option("release"), "keep") << "nothing has changed";
	EXPECT_EQ(option("heal"), "0");
}

TEST_F(UnsplitSet, GetRefusesNonsense)
{
	char value[4] = "";

	EXPECT_EQ(unsplit_get("weather", value, sizeof value), ENOENT);
	EXPECT_EQ(unsplit_get("release", value, 0), EINVAL);
	EXPECT_EQ(unsplit_get("release", nullptr, 4), EINVAL);
	EXPECT_EQ(unsplit_get("release", value, sizeof value), ERANGE);
	EXPECT_STREQ(value, "kee");
}

TEST_F(UnsplitSet, KeepsErrno)
{
	errno = 77;
	unsplit_set("delay", "1s");
	unsplit_trim();
	unsplit_heal();
	unsplit_demote(0);
	EXPECT_EQ(errno, 77);
}

TEST_F(UnsplitSet, ReleaseTakesEffect)
{
	Blocks blocks(64 * MiB);
	uint64_t demoted = statistic("demoted_units");

	blocks.thin_out();
	unsplit_trim();
	EXPECT_EQ(statistic("demoted_units"), demoted) << "release:keep";
	Setting balanced("release", "balanced");
	unsplit_trim();
	EXPECT_GE(statistic("demoted_units"), demoted + 20);
	EXPECT_TRUE(blocks.intact());
}

TEST_F(UnsplitSet, ThreadCacheTakesEffect)
{
	auto hits = [] {
		uint64_t before = statistic("cache_hits");

		for (int i = 0; i < 100; i++)
			free(hidden(malloc(64 * KiB)));
		return statistic("cache_hits") - before;
	};

	EXPECT_GE(hits(), 90u);
	Setting none("thread_cache", "0");
	unsplit_trim(); /* what is cached already may still be handed out */
	EXPECT_EQ(hits(), 0u);
}

std::string scratch(const std::string &name)
{
	return testing::TempDir() + "unsplit_api." + std::to_string(getpid()) + "." + name;
}

/* The report that a child writes at its exit. */
TEST_F(UnsplitSet, ReportTakesEffect)
{
	std::string path = scratch("json");
	pid_t child = fork();

	if (!child) {
		unsplit_set("report", path.c_str());
		exit(0);
	}
	int status;
	ASSERT_EQ(waitpid(child, &status, 0), child);
	std::ifstream file(path);
	std::string text((std::istreambuf_iterator<char>(file)), {});
	unlink(path.c_str());
	EXPECT_NE(text.find("\"coverage\""), std::string::npos);
	EXPECT_NE(text.find("\"system_since_start\""), std::string::npos);
	EXPECT_EQ(option("report"), "off") << "the parent's is its own";
}

/* In a process of its own, with huge_after:1024G: */
TEST_F(UnsplitHugeAfter, TakesEffect)
{
	void *before = malloc(32 * MiB);

	memset(before, 1, 32 * MiB);
	EXPECT_EQ(memory().huge, 0u);
	EXPECT_EQ(unsplit_heal(), 0u) << "the heap is not big";
	EXPECT_EQ(unsplit_set("huge_after", "0"), 0);
	void *after = malloc(32 * MiB);
	memset(after, 1, 32 * MiB);
	EXPECT_GE(memory().huge, 30 * MiB);
	free(after);
	free(before);
}

TEST_F(UnsplitHugeAfter, IsWaivedByAPlan)
{
	struct unsplit_plan plan = {sizeof plan, UNSPLIT_PAGES_HUGE, 1};
	void *block = malloc(8 * MiB);

	memset(block, 1, 8 * MiB);
	EXPECT_EQ(memory().huge, 0u);
	void *planned = unsplit_malloc(8 * MiB, &plan);
	EXPECT_GE(memory().huge, 8 * MiB);
	free(planned);
	free(block);
}

TEST_F(UnsplitHugeAfter, IsWaivedByARegion)
{
	auto *region = unsplit_region_create();

	memset(unsplit_region_alloc(region, MiB, 0), 1, MiB);
	EXPECT_GE(memory().huge, unit);
	unsplit_region_destroy(region);
}

/* ---- demote and heal ---- */

TEST_F(UnsplitDemote, GivesBackWhatIsFreeThoughToldToKeep)
{
	Blocks blocks(128 * MiB);
	size_t before = memory().resident;

	blocks.thin_out();
	unsplit_trim();
	EXPECT_GE(memory().resident, before - 24 * MiB) << "no unit is empty";
	size_t given = unsplit_demote(SIZE_MAX);
	EXPECT_GE(given, 80 * MiB);
	EXPECT_LE(memory().resident, before - 80 * MiB);
	EXPECT_TRUE(blocks.intact());
	EXPECT_EQ(unsplit_demote(SIZE_MAX), 0u) << "nothing is left";
}

TEST_F(UnsplitDemote, StopsWhereItIsAskedTo)
{
	Blocks blocks(128 * MiB);

	blocks.thin_out();
	EXPECT_EQ(unsplit_demote(0), 0u);
	size_t given = unsplit_demote(8 * MiB);
	EXPECT_GE(given, 8 * MiB);
	EXPECT_LE(given, 10 * MiB) << "one unit more at most";
	EXPECT_EQ(stats().demoted_bytes, statistic("demoted_bytes"));
}

TEST_F(UnsplitHeal, MakesHugeWhatWasBroken)
{
	Blocks blocks(128 * MiB);

	blocks.thin_out();
	ASSERT_GE(unsplit_demote(SIZE_MAX), 80 * MiB);
	blocks.fill_gaps();
	EXPECT_LT(coverage(), 0.9) << "nobody heals: heal:0";
	uint64_t healed = statistic("healed_units");
	size_t bytes = unsplit_heal();
	EXPECT_GE(bytes, 32 * MiB);
	EXPECT_EQ(statistic("healed_units") - healed, bytes / unit);
	EXPECT_GE(coverage(), 0.95);
	EXPECT_TRUE(blocks.intact());
	EXPECT_EQ(unsplit_heal(), 0u) << "nothing is left";
}

/* ---- memory with a plan ---- */

TEST_F(UnsplitPlan, TakesWholeUnits)
{
	struct unsplit_plan plan = {sizeof plan, UNSPLIT_PAGES_HUGE, 0};

	for (size_t bytes : {size_t{0}, size_t{1}, unit - 1, unit, unit + 1, 5 * unit + 12345}) {
		size_t used = stats().large_used;
		void *p = unsplit_malloc(bytes, &plan);
		size_t took = stats().large_used - used;

		ASSERT_NE(p, nullptr);
		EXPECT_TRUE(aligned(p, unit)) << bytes;
		EXPECT_EQ(took % unit, 0u) << bytes;
		EXPECT_EQ(took, std::max((bytes + unit - 1) / unit, size_t{1}) * unit);
		memset(p, 1, bytes);
		p = realloc(p, bytes + 100);
		free(p);
	}
}

TEST_F(UnsplitPlan, Populates)
{
	struct unsplit_plan plan = {sizeof plan, UNSPLIT_PAGES_HUGE, 0};

	unsplit_trim();
	auto before = memory();
	void *later = unsplit_malloc(32 * MiB, &plan);
	EXPECT_LE(memory().resident, before.resident + 2 * unit) << "at the first touch";
	plan.populate = 1;
	before = memory();
	void *now = unsplit_malloc(32 * MiB, &plan);
	EXPECT_GE(memory().resident, before.resident + 32 * MiB);
	EXPECT_GE(memory().huge, before.huge + 32 * MiB);
	free(now);
	free(later);
}

TEST_F(UnsplitPlan, DefaultIsMalloc)
{
	struct unsplit_plan plan = {sizeof plan, UNSPLIT_PAGES_DEFAULT, 1};

	for (void *p : {unsplit_malloc(100, nullptr), unsplit_malloc(100, &plan)}) {
		ASSERT_NE(p, nullptr);
		EXPECT_TRUE(aligned(p, 16));
		EXPECT_EQ(stats().out_of_memory, statistic("out_of_memory"));
		free(p);
	}
}

TEST_F(UnsplitPlan, RefusesWhatItDoesNotKnow)
{
	struct {
		struct unsplit_plan known;
		uint64_t later;
	} plan = {{sizeof plan, UNSPLIT_PAGES_HUGE, 0}, 0};
	auto refused = [&plan](int expected) {
		errno = 0;
		void *p = unsplit_malloc(unit, &plan.known);
		free(p);
		return !p && errno == expected;
	};

	EXPECT_FALSE(refused(EINVAL)) << "a later struct that asks for nothing new";
	plan.later = 1;
	EXPECT_TRUE(refused(EINVAL));
	plan.known.size = 0;
	EXPECT_TRUE(refused(EINVAL));
	plan.known = {sizeof plan.known, 2, 0};
	EXPECT_TRUE(refused(EINVAL));
	plan.known = {sizeof plan.known, UNSPLIT_PAGES_HUGE, 2};
	EXPECT_TRUE(refused(EINVAL));
}

TEST_F(UnsplitPlan, FailsAsMallocDoes)
{
	struct unsplit_plan plan = {sizeof plan, UNSPLIT_PAGES_HUGE, 0};

	for (size_t bytes : {SIZE_MAX, SIZE_MAX - unit, SIZE_MAX / 2, SIZE_MAX / 4}) {
		errno = 0;
		EXPECT_EQ(unsplit_malloc(hidden(bytes), &plan), nullptr);
		EXPECT_EQ(errno, ENOMEM);
	}
}

/* ---- regions ---- */

using Region = struct unsplit_region;

TEST_F(UnsplitRegion, HandsOutBlocksBehindEachOther)
{
	Region *r = unsplit_region_create();
	auto *a = static_cast<char *>(unsplit_region_alloc(r, 24, 0));
	auto *b = static_cast<char *>(unsplit_region_alloc(r, 1, 1));
	auto *c = static_cast<char *>(unsplit_region_alloc(r, 0, 1));
	auto *d = static_cast<char *>(unsplit_region_alloc(r, 8, 4096));

	EXPECT_TRUE(aligned(a, 16));
	EXPECT_EQ(b, a + 24);
	EXPECT_EQ(c, b + 1);
	EXPECT_GT(d, c);
	EXPECT_TRUE(aligned(d, 4096));
	EXPECT_LT(static_cast<size_t>(d - a), 2 * size_t{4096});
	unsplit_region_destroy(r);
}

TEST_F(UnsplitRegion, LiesOnWholeHugeUnits)
{
	unsplit_trim();
	auto before = memory();
	size_t used = stats().large_used;
	Region *r = unsplit_region_create();

	for (size_t i = 0; i < 64 * MiB / 1000; i++)
		memset(unsplit_region_alloc(r, 1000, 8), 1, 1000);
	EXPECT_EQ((stats().large_used - used) % unit, 0u);
	EXPECT_LE(stats().large_used - used, 66 * MiB);
	EXPECT_GE(memory().huge, before.huge + 62 * MiB);
	unsplit_region_destroy(r);
	EXPECT_EQ(stats().large_used, used);
	unsplit_trim();
	EXPECT_LE(memory().resident, before.resident + unit) << "all of it goes";
}

TEST_F(UnsplitRegion, KeepsContents)
{
	struct Block {
		void *p;
		size_t size;
	};
	Random random(3);
	Region *r = unsplit_region_create();
	std::vector<Block> blocks;

	for (unsigned i = 0; i < 2000; i++) {
		size_t size = random.size(i % 100 ? 12 : 23), align = size_t{1} << random.below(13);
		void *p = unsplit_region_alloc(r, size, align);

		ASSERT_TRUE(p && aligned(p, align)) << size << " " << align;
		fill(p, size, i);
		blocks.push_back({p, size});
	}
	for (unsigned i = 0; i < blocks.size(); i++)
		ASSERT_TRUE(filled(blocks[i].p, blocks[i].size, i)) << i;
	unsplit_region_destroy(r);
}

TEST_F(UnsplitRegion, AlignsToAUnit)
{
	Region *r = unsplit_region_create();

	for (size_t bytes : {size_t{1}, unit, 3 * unit})
		EXPECT_TRUE(aligned(unsplit_region_alloc(r, bytes, unit), unit));
	unsplit_region_destroy(r);
}

TEST_F(UnsplitRegion, IsSharedByThreads)
{
	constexpr size_t threads = 8, each = 20000, size = 200;
	Region *r = unsplit_region_create();
	std::vector<std::vector<void *>> blocks(threads, std::vector<void *>(each));
	std::vector<std::thread> crew;

	for (size_t t = 0; t < threads; t++)
		crew.emplace_back([&, t] {
			for (void *&p : blocks[t]) {
				p = unsplit_region_alloc(r, size, 8);
				memset(p, static_cast<int>(t), size);
			}
		});
	for (std::thread &thread : crew)
		thread.join();
	for (size_t t = 0; t < threads; t++)
		for (void *p : blocks[t])
			for (size_t i = 0; i < size; i++)
				ASSERT_EQ(static_cast<unsigned char *>(p)[i], t);
	size_t used = stats().large_used;
	unsplit_region_destroy(r);
	EXPECT_LE(used - stats().large_used, threads * each * size * 11 / 10 + 2 * unit)
		<< "who was late gave his unit back";
}

TEST_F(UnsplitRegion, CanBeUsedByAChild)
{
	Region *r = unsplit_region_create();
	void *before = unsplit_region_alloc(r, 100, 0);

	fill(before, 100, 1);
	pid_t child = fork();
	if (!child) {
		void *p = unsplit_region_alloc(r, 3 * unit, 0);

		memset(p, 1, 3 * unit);
		bool good = filled(before, 100, 1);
		unsplit_region_destroy(r);
		_exit(good ? 0 : 1);
	}
	int status;
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	EXPECT_TRUE(filled(before, 100, 1));
	unsplit_region_destroy(r);
}

TEST_F(UnsplitRegion, RefusesNonsense)
{
	Region *r = unsplit_region_create();

	for (size_t align : {size_t{3}, size_t{24}, 2 * unit}) {
		errno = 0;
		EXPECT_EQ(unsplit_region_alloc(r, 1, align), nullptr);
		EXPECT_EQ(errno, EINVAL) << align;
	}
	for (size_t bytes : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4}) {
		errno = 0;
		EXPECT_EQ(unsplit_region_alloc(r, bytes, 0), nullptr);
		EXPECT_EQ(errno, ENOMEM) << bytes;
	}
	EXPECT_NE(unsplit_region_alloc(r, 1, 1), nullptr) << "it goes on";
	unsplit_region_destroy(r);
	errno = 77;
	unsplit_region_destroy(nullptr);
	EXPECT_EQ(errno, 77);
}

} // namespace
