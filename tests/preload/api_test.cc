/* The C API, by a program that is linked with the library.  Nothing gives back or heals but what is
 * asked for here: UNSPLIT_CONF=release:keep,heal:0,background:off. */
#include "support.h"

#include <unsplit/unsplit.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sys/mman.h>
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
using Plan = struct unsplit_plan;

Plan plan_for(uint32_t pages, uint32_t populate = 0)
{
	Plan plan = {};

	plan.size = sizeof plan;
	plan.pages = pages;
	plan.populate = populate;
	return plan;
}

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
using UnsplitManyPlans = Trimmed;
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
	Plan plan = plan_for(UNSPLIT_PAGES_HUGE, 1);
	void *block = malloc(8 * MiB);

	memset(block, 1, 8 * MiB);
	EXPECT_EQ(memory().huge, 0u);
	void *planned = unsplit_malloc(8 * MiB, &plan);
	EXPECT_GE(memory().huge, 8 * MiB);
	EXPECT_LE(memory().huge, 8 * MiB + unit) << "what has no plan goes on waiting";
	free(planned);
	free(block);
}

/* With heal:0 nothing but unsplit_heal() heals. */
TEST_F(UnsplitHugeAfter, PlannedUnitsAreHealedThoughNothingIsProven)
{
	Plan plan = plan_for(UNSPLIT_PAGES_HUGE, 1);
	auto *block = static_cast<char *>(unsplit_aligned_alloc(unit, unit, &plan));
	void *usual = malloc(8 * MiB);

	memset(usual, 1, 8 * MiB);
	memset(block, 7, unit);
	ASSERT_EQ(memory().huge, unit);
	ASSERT_EQ(mprotect(block, 4096, PROT_READ), 0); /* breaks it (K2) */
	ASSERT_EQ(mprotect(block, 4096, PROT_READ | PROT_WRITE), 0);
	ASSERT_EQ(memory().huge, 0u);
	EXPECT_EQ(unsplit_heal(), unit);
	EXPECT_EQ(memory().huge, unit);
	EXPECT_TRUE(block[0] == 7 && block[unit - 1] == 7);
	free(usual);
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

/* A unit of one's own. */
TEST_F(UnsplitPlan, WholeUnitsAreHadByAlignment)
{
	Plan plan = plan_for(UNSPLIT_PAGES_HUGE);

	for (size_t units : {1, 2, 5}) {
		size_t used = stats().large_used;
		void *p = unsplit_aligned_alloc(unit, units * unit, &plan);

		ASSERT_NE(p, nullptr);
		EXPECT_TRUE(aligned(p, unit));
		EXPECT_EQ(stats().large_used - used, units * unit);
		memset(p, 1, units * unit);
		free(p);
	}
}

TEST_F(UnsplitPlan, Populates)
{
	Plan plan = plan_for(UNSPLIT_PAGES_HUGE);

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

/* What was freed lies in the thread's cache, and not all of it in memory. */
TEST_F(UnsplitPlan, PopulatesWhatIsUsedAgain)
{
	Plan plan = plan_for(UNSPLIT_PAGES_DEFAULT, 1);

	unsplit_trim();
	free(hidden(malloc(128 * KiB)));
	auto *p = static_cast<char *>(unsplit_malloc(128 * KiB, &plan));
	unsigned char there[32];
	ASSERT_EQ(mincore(p, 128 * KiB, there), 0);
	EXPECT_TRUE(std::all_of(there, there + 32, [](unsigned char c) { return c & 1; }));
	free(p);
}

TEST_F(UnsplitPlan, BasePagesStayBasePages)
{
	Plan plan = plan_for(UNSPLIT_PAGES_BASE, 1);
	auto before = memory();
	void *p = unsplit_malloc(32 * MiB, &plan);

	EXPECT_GE(memory().resident, before.resident + 32 * MiB);
	EXPECT_EQ(memory().huge, before.huge);
	p = realloc(p, 64 * MiB);
	memset(p, 1, 64 * MiB);
	EXPECT_EQ(memory().huge, before.huge) << "realloc keeps the plan of a big block";
	free(p);
}

TEST_F(UnsplitPlan, ReleaseKeepsOrGivesBack)
{
	Plan tight = plan_for(UNSPLIT_PAGES_HUGE), keep = tight;

	tight.release = UNSPLIT_RELEASE_BALANCED; /* the option is keep */
	keep.release = UNSPLIT_RELEASE_KEEP;
	for (Plan *plan : {&tight, &keep}) {
		std::vector<void *> blocks;
		size_t demoted = stats().demoted_units;

		for (int i = 0; i < 256; i++) {
			blocks.push_back(unsplit_malloc(128 * KiB, plan));
			memset(blocks.back(), 1, 128 * KiB);
		}
		for (size_t i = 0; i < blocks.size(); i++)
			if (i % 16)
				free(blocks[i]);
		unsplit_trim();
		if (plan == &tight)
			EXPECT_GE(stats().demoted_units, demoted + 12);
		else
			EXPECT_EQ(stats().demoted_units, demoted);
		for (size_t i = 0; i < blocks.size(); i += 16)
			free(blocks[i]);
	}
}

TEST_F(UnsplitPlan, SmallBlocksKeepToThemselves)
{
	Plan plan = plan_for(UNSPLIT_PAGES_BASE);
	auto page = [](void *p) { return reinterpret_cast<uintptr_t>(p) / (64 * KiB); };
	std::vector<void *> planned, others;
	std::set<uintptr_t> pages;

	for (int i = 0; i < 5000; i++) {
		planned.push_back(unsplit_malloc(100, &plan));
		others.push_back(malloc(100));
		pages.insert(page(planned.back()));
	}
	for (void *p : others)
		ASSERT_FALSE(pages.count(page(p)));
	for (void *p : planned)
		free(p);
	for (void *p : others)
		free(p);
}

/* Not on huge pages: a first write to what was only read gets base pages from older kernels (6.1). */
TEST_F(UnsplitPlan, CallocIsZero)
{
	Plan plan = plan_for(UNSPLIT_PAGES_BASE);

	for (size_t bytes : {size_t{100}, 100 * KiB, 5 * MiB}) {
		for (int round = 0; round < 3; round++) {
			auto *p = static_cast<char *>(unsplit_calloc(bytes, 1, &plan));

			ASSERT_NE(p, nullptr);
			ASSERT_TRUE(std::all_of(p, p + bytes, [](char c) { return !c; })) << bytes;
			memset(p, 1, bytes);
			free(p);
		}
	}
	errno = 0;
	EXPECT_EQ(unsplit_calloc(hidden(SIZE_MAX / 2), 3, &plan), nullptr);
	EXPECT_EQ(errno, ENOMEM);
}

TEST_F(UnsplitPlan, Aligns)
{
	Plan plan = plan_for(UNSPLIT_PAGES_BASE);

	for (size_t align = 1; align <= 4 * unit; align *= 2)
		for (size_t bytes : {size_t{1}, 1000 * size_t{1}, 100 * KiB}) {
			void *p = unsplit_aligned_alloc(align, bytes, &plan);

			ASSERT_NE(p, nullptr);
			EXPECT_TRUE(aligned(p, std::max(align, size_t{16})))
				<< align << " " << bytes;
			fill(p, bytes, 1);
			free(p);
		}
	for (size_t align : {size_t{0}, size_t{3}, size_t{48}}) {
		errno = 0;
		EXPECT_EQ(unsplit_aligned_alloc(align, 1, &plan), nullptr);
		EXPECT_EQ(errno, EINVAL) << align;
	}
}

TEST_F(UnsplitPlan, DefaultIsMalloc)
{
	Plan plan = plan_for(UNSPLIT_PAGES_DEFAULT, 1);

	for (void *p : {unsplit_malloc(100, nullptr), unsplit_malloc(100, &plan),
	                unsplit_calloc(1, 100, nullptr), unsplit_aligned_alloc(16, 1, nullptr)}) {
		ASSERT_NE(p, nullptr);
		EXPECT_TRUE(aligned(p, 16));
		EXPECT_EQ(stats().out_of_memory, statistic("out_of_memory"));
		free(p);
	}
}

TEST_F(UnsplitPlan, TakesThatOfAnOlderProgram)
{
	struct {
		size_t size;
		uint32_t pages, populate;
		uint32_t not_its_own[4];
	} plan = {16, UNSPLIT_PAGES_BASE, 0, {77, 77, 77, 77}};

	void *p = unsplit_malloc(100 * KiB, reinterpret_cast<Plan *>(&plan));
	EXPECT_NE(p, nullptr);
	free(p);
}

TEST_F(UnsplitPlan, RefusesWhatItDoesNotKnow)
{
	struct {
		Plan known;
		uint64_t later;
	} plan = {plan_for(UNSPLIT_PAGES_HUGE), 0};
	auto refused = [&plan] {
		errno = 0;
		void *p = unsplit_malloc(unit, &plan.known);
		int error = errno;
		auto *named = unsplit_plan_create("refused", &plan.known);
		auto *region = unsplit_region_create_planned(&plan.known);

		free(p);
		unsplit_region_destroy(region);
		EXPECT_EQ(!p, !named);
		EXPECT_EQ(!p, !region);
		return !p && error == EINVAL && errno == EINVAL;
	};

	plan.known.size = sizeof plan;
	EXPECT_FALSE(refused()) << "a later struct that asks for nothing new";
	plan.later = 1;
	EXPECT_TRUE(refused());
	plan.known.size = 15;
	EXPECT_TRUE(refused());
	for (uint32_t Plan::*member : {&Plan::pages, &Plan::populate, &Plan::release, &Plan::heal,
	                               &Plan::place, &Plan::node}) {
		plan.known = plan_for(UNSPLIT_PAGES_HUGE);
		plan.known.*member = 5;
		EXPECT_TRUE(refused());
		plan.known.*member = 1u << 31;
		EXPECT_TRUE(refused());
	}
	plan.known = plan_for(UNSPLIT_PAGES_HUGE);
	plan.known.place = UNSPLIT_NODE_ONLY;
	plan.known.node = 4096;
	EXPECT_TRUE(refused()) << "a node that is not there";
}

TEST_F(UnsplitPlan, FailsAsMallocDoes)
{
	Plan plan = plan_for(UNSPLIT_PAGES_HUGE);

	for (size_t bytes : {SIZE_MAX, SIZE_MAX - unit, SIZE_MAX / 2, SIZE_MAX / 4}) {
		errno = 0;
		EXPECT_EQ(unsplit_malloc(hidden(bytes), &plan), nullptr);
		EXPECT_EQ(errno, ENOMEM);
	}
}

TEST_F(UnsplitPlan, HasAName)
{
	Plan base = plan_for(UNSPLIT_PAGES_BASE), other = plan_for(UNSPLIT_PAGES_HUGE, 1);

	errno = 0;
	EXPECT_EQ(unsplit_plan_find("cold"), nullptr);
	EXPECT_EQ(errno, ENOENT);
	errno = 77;
	const Plan *cold = unsplit_plan_create("cold", &base);
	ASSERT_NE(cold, nullptr);
	EXPECT_EQ(cold->size, sizeof *cold);
	EXPECT_EQ(cold->pages, unsigned{UNSPLIT_PAGES_BASE});
	EXPECT_EQ(unsplit_plan_create("cold", &base), cold);
	EXPECT_EQ(unsplit_plan_find("cold"), cold);
	EXPECT_EQ(errno, 77);
	EXPECT_EQ(unsplit_plan_create("cold", &other), nullptr);
	EXPECT_EQ(errno, EEXIST);
	const Plan *eager = unsplit_plan_create("eager", &other);
	ASSERT_NE(eager, nullptr);
	EXPECT_EQ(eager->populate, 1u);
	EXPECT_NE(eager, cold);

	size_t huge = memory().huge;
	void *p = unsplit_malloc(8 * MiB, cold);
	memset(p, 1, 8 * MiB);
	EXPECT_EQ(memory().huge, huge);
	free(p);
}

TEST_F(UnsplitPlan, NeedsAProperName)
{
	Plan plan = plan_for(UNSPLIT_PAGES_BASE);
	std::string longest(47, 'x'), longer(48, 'x');

	EXPECT_NE(unsplit_plan_create(longest.c_str(), &plan), nullptr);
	for (const char *name : {(const char *)nullptr, "", longer.c_str()}) {
		errno = 0;
		EXPECT_EQ(unsplit_plan_create(name, &plan), nullptr);
		EXPECT_EQ(errno, EINVAL);
	}
	errno = 0;
	EXPECT_EQ(unsplit_plan_create("none", nullptr), nullptr);
	EXPECT_EQ(errno, EINVAL);
	errno = 0;
	EXPECT_EQ(unsplit_plan_find(nullptr), nullptr);
	EXPECT_EQ(errno, EINVAL);
}

/* In a process of its own: the table is for good. */
TEST_F(UnsplitManyPlans, AreRefusedAtTheEnd)
{
	Plan plan = plan_for(UNSPLIT_PAGES_BASE);
	int made = 0;

	while (made < 1000 && unsplit_plan_create(std::to_string(made).c_str(), &plan))
		made++;
	EXPECT_EQ(made, 128);
	EXPECT_EQ(errno, ENOMEM);
	EXPECT_NE(unsplit_plan_create("5", &plan), nullptr);
	errno = 0;
	EXPECT_EQ(unsplit_malloc(100, &plan), nullptr) << "an unnamed one needs a place, too";
	EXPECT_EQ(errno, ENOMEM);
	void *p = unsplit_malloc(100, unsplit_plan_find("7"));
	EXPECT_NE(p, nullptr);
	free(p);
}

/* In a process of its own: zones are for good. */
TEST_F(UnsplitManyPlans, BeyondSixteenKindsAreServedAndCounted)
{
	uint64_t unmet = statistic("plans_unmet");
	std::vector<void *> blocks;

	testing::internal::CaptureStderr();
	for (uint32_t pages : {0, 1, 2})
		for (uint32_t release : {0, 1, 2, 3})
			for (uint32_t heal : {1, 2}) {
				Plan plan = plan_for(pages);

				plan.release = release;
				plan.heal = heal;
				blocks.push_back(unsplit_malloc(100 * KiB, &plan));
				ASSERT_NE(blocks.back(), nullptr);
				memset(blocks.back(), 1, 100 * KiB);
			}
	std::string said = testing::internal::GetCapturedStderr();
	EXPECT_EQ(statistic("plans_unmet") - unmet, 24u - 16u);
	EXPECT_EQ(said.find("unsplit: rules and plans ask for more than 16 kinds of zones"), 0u)
		<< said;
	EXPECT_EQ(said.find('\n'), said.size() - 1) << "once: " << said;
	for (void *p : blocks)
		free(p);
}

TEST_F(UnsplitPlan, IsMadeByThreadsAtOnce)
{
	constexpr int threads = 8, names = 10;
	std::array<std::array<const Plan *, names>, threads> made;
	std::vector<std::thread> crew;

	for (int t = 0; t < threads; t++)
		crew.emplace_back([&made, t] {
			Plan plan = plan_for(UNSPLIT_PAGES_BASE);

			for (int i = 0; i < names; i++) {
				std::string name = "at once " + std::to_string(i);

				made[t][i] = unsplit_plan_create(name.c_str(), &plan);
				free(unsplit_malloc(1000, made[t][i]));
			}
		});
	for (std::thread &thread : crew)
		thread.join();
	for (int t = 0; t < threads; t++)
		for (int i = 0; i < names; i++) {
			ASSERT_NE(made[t][i], nullptr);
			EXPECT_EQ(made[t][i], made[0][i]);
		}
}

/* ---- rules ---- */

class UnsplitLoadRules : public Trimmed
{
      protected:
	void TearDown() override
	{
		EXPECT_EQ(unsplit_load_rules(nullptr, nullptr, 0), 0);
		unlink(path.c_str());
	}
	int load(const std::string &text)
	{
		std::ofstream(path) << text;
		return unsplit_load_rules(path.c_str(), mistake, sizeof mistake);
	}

	std::string path = scratch("rules");
	char mistake[256] = "";
};

__attribute__((noinline)) void *planned_site(size_t bytes)
{
	void *p = malloc(bytes);

	asm volatile("" ::: "memory"); /* a frame of its own */
	return p;
}

/* Bytes on huge pages that the site's blocks come to. */
size_t huge_of_site()
{
	size_t before = memory().huge;
	void *p = planned_site(8 * MiB);

	memset(p, 1, 8 * MiB);
	size_t after = memory().huge;
	free(p);
	unsplit_trim();
	return after - before;
}

TEST_F(UnsplitLoadRules, TakeEffectAlsoForSitesSeenBefore)
{
	EXPECT_GE(huge_of_site(), 6 * MiB);
	ASSERT_EQ(load("[site cold]\nfunction = *planned_site*\npages = base\n"), 0) << mistake;
	EXPECT_LE(huge_of_site(), unit);
	ASSERT_EQ(load("[site other]\nfunction = other_site\npages = base\n"), 0) << mistake;
	EXPECT_GE(huge_of_site(), 6 * MiB);
	ASSERT_EQ(load("[site all]\nsize = >=1M\npages = base\n"), 0) << mistake;
	EXPECT_LE(huge_of_site(), unit);
	EXPECT_EQ(unsplit_load_rules(nullptr, nullptr, 0), 0);
	EXPECT_GE(huge_of_site(), 6 * MiB);
}

TEST_F(UnsplitLoadRules, HaveASayInSmallRequests)
{
	auto page = [](void *p) { return reinterpret_cast<uintptr_t>(p) / (64 * KiB); };
	auto separate = [&page] {
		std::set<uintptr_t> pages;
		std::vector<void *> blocks;
		bool apart = true;

		for (int i = 0; i < 2000; i++) {
			blocks.push_back(planned_site(200));
			pages.insert(page(blocks.back()));
			blocks.push_back(malloc(200));
			apart = apart && !pages.count(page(blocks.back()));
		}
		for (void *p : blocks)
			free(p);
		return apart;
	};

	EXPECT_FALSE(separate());
	ASSERT_EQ(load("[site cold]\nfunction = *planned_site*\npages = base\n"), 0) << mistake;
	EXPECT_TRUE(separate());
	ASSERT_EQ(load("[site other]\nfunction = other_site\npages = base\n"), 0) << mistake;
	EXPECT_FALSE(separate());
	ASSERT_EQ(load("[site cold]\nfunction = *planned_site*\npages = base\n"), 0) << mistake;
	EXPECT_TRUE(separate());
}

TEST_F(UnsplitLoadRules, TellsTheFirstMistakeWithItsPlace)
{
	ASSERT_EQ(load("[site all]\nsize = >=1M\npages = base\n"), 0);
	EXPECT_EQ(load("[site all]\npages = hug\nsize = big\n"), EINVAL);
	EXPECT_EQ(std::string(mistake),
	          path + ":2:9: wrong value of pages (\"hug\"); accepted: huge, "
	                 "base or default; did you mean \"huge\"?");
	EXPECT_LE(huge_of_site(), unit) << "nothing has changed";
	EXPECT_EQ(unsplit_load_rules("/none/such", mistake, sizeof mistake), EINVAL);
	EXPECT_EQ(std::string(mistake), "/none/such: cannot be read: No such file or directory");
	EXPECT_EQ(unsplit_load_rules("/none/such", mistake, 5), EINVAL);
	EXPECT_STREQ(mistake, "/non");
	testing::internal::CaptureStderr();
	EXPECT_EQ(unsplit_load_rules("/none/such", nullptr, 0), EINVAL);
	EXPECT_EQ(testing::internal::GetCapturedStderr(),
	          "unsplit: /none/such: cannot be read: No such file or directory\n");
	EXPECT_EQ(load("[site all]\nsize = >=1M\npages = huge\n"), 0);
	EXPECT_STREQ(mistake, "");
}

TEST_F(UnsplitLoadRules, NamePlans)
{
	Plan huge = plan_for(UNSPLIT_PAGES_HUGE);

	ASSERT_EQ(load("[plan rows]\npages = base\nrelease = tight\nheal = off\npopulate = on\n"),
	          0)
		<< mistake;
	const Plan *rows = unsplit_plan_find("rows");
	ASSERT_NE(rows, nullptr);
	EXPECT_EQ(rows->pages, unsigned{UNSPLIT_PAGES_BASE});
	EXPECT_EQ(rows->release, unsigned{UNSPLIT_RELEASE_TIGHT});
	EXPECT_EQ(rows->heal, unsigned{UNSPLIT_HEAL_OFF});
	EXPECT_EQ(rows->populate, 1u);
	EXPECT_EQ(unsplit_plan_create("rows", &huge), rows) << "who runs the program knows better";
	EXPECT_GE(huge_of_site(), 6 * MiB) << "a plan is nobody's rule";
	ASSERT_EQ(unsplit_load_rules(nullptr, nullptr, 0), 0);
	EXPECT_EQ(unsplit_plan_find("rows"), nullptr);
	const Plan *own = unsplit_plan_create("rows", &huge);
	ASSERT_NE(own, nullptr);
	EXPECT_EQ(own->pages, unsigned{UNSPLIT_PAGES_HUGE});
	EXPECT_EQ(rows->pages, unsigned{UNSPLIT_PAGES_BASE}) << "what was returned stays";
}

TEST_F(UnsplitLoadRules, WhileThreadsAskAndAChildIsForked)
{
	std::atomic<bool> over{false};
	std::vector<std::thread> crew;
	uint64_t unmet = statistic("plans_unmet");

	for (int t = 0; t < 3; t++)
		crew.emplace_back([&over] {
			while (!over)
				for (size_t bytes : {100, 20000, 200000}) {
					void *p = planned_site(bytes);

					memset(p, 1, bytes);
					free(p);
				}
		});
	for (int i = 0; i < 30; i++) {
		/* In a zone of its own, which the child breaks and nobody mends. */
		std::string pages = i % 2 ? "base" : "huge\nheal = off";

		EXPECT_EQ(load("[site a]\nfunction = *planned_site*\npages = " + pages + "\n"), 0);
		pid_t child = fork();
		if (!child)
			_exit(load("[site a]\nsize = >100\npages = base\n") || !planned_site(5000));
		int status = 1;
		EXPECT_EQ(waitpid(child, &status, 0), child);
		EXPECT_EQ(status, 0);
	}
	over = true;
	for (std::thread &thread : crew)
		thread.join();
	EXPECT_EQ(statistic("plans_unmet"), unmet) << "the same plans come and go";
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

TEST_F(UnsplitRegion, FollowsAPlan)
{
	Plan plan = plan_for(UNSPLIT_PAGES_BASE);
	auto before = memory();
	Region *r = unsplit_region_create_planned(&plan);

	for (int i = 0; i < 8; i++)
		memset(unsplit_region_alloc(r, MiB, 0), 1, MiB);
	EXPECT_GE(memory().resident, before.resident + 8 * MiB);
	EXPECT_EQ(memory().huge, before.huge);
	unsplit_region_destroy(r);
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
