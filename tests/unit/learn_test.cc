// What is learned of the blocks of a site, on the fake kernel: how much of them is touched, how
// many bytes there were at once, how long they live; and what of that a forked child knows.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "fake_kernel.h"
#include "no_pagemap_scan.h"

extern "C" {
#include "options.h"
#include "report/profile.h"
#include "site/learn.h"
#include "site/modules.h"
#include "site/rules.h"
#include "site/site.h"
#include "site/sites.h"
#include "site/symbols.h"
}

namespace
{

constexpr size_t KiB = 1024, MiB = 1024 * KiB, page = 4 * KiB, unit = 2 * MiB;
constexpr uint64_t SECOND = 1000000000;
// How often is hidden from the compiler, which would make several call sites of one.
volatile int twice = 2;

// Names of functions are read once in a process, into memory that must not be a fake's: so a site
// is seen before there is one.
void read_names()
{
	machine_init();
	options_default(&options);
	options.sites = true;
	ASSERT_EQ(symbols_init(), 0);
	site_init();
	site_lookup(SITE_MALLOC, 1 << 20, __builtin_return_address(0));
	for (size_t i = 0; i < sites_count(); i++)
		for (size_t j = 0; j < site_at(i)->frame_count; j++) {
			site_frame frame = site_at(i)->frames[j];
			struct module *module = site_frame_module(frame);
			struct place place = {module, site_frame_offset(frame), module->path};

			symbol_of(&place);
		}
	site_reset();
}

class Learning : public testing::Test
{
      protected:
	void SetUp() override
	{
		read_names();
		running = std::make_unique<fake::Kernel>();
		strcpy(options.learn, "anywhere");
		site_init();
		ASSERT_TRUE(site_active);
		place = static_cast<char *>(kernel->reserve(nullptr, 256 * MiB));
		place += -reinterpret_cast<uintptr_t>(place) & (unit - 1);
		ASSERT_EQ(kernel->make_usable(place, 248 * MiB), 0);
	}
	void TearDown() override
	{
		learn_reset();
		site_reset();
		options_default(&options);
		running.reset();
	}

	// A block of the site that the caller is, `at` bytes into our memory, with some of its
	// pages touched.
	__attribute__((noinline)) char *born(size_t at, size_t bytes, size_t pages = 0)
	{
		site_lookup(SITE_MALLOC, bytes, __builtin_return_address(0));
		learn_born(place + at, bytes);
		touch(at, pages);
		return place + at;
	}
	void touch(size_t at, size_t pages)
	{
		for (size_t i = 0; i < pages; i++)
			place[at + i * page] = 1;
	}
	// As free() does: what is learned of it, and then its memory goes.
	void freed(char *p, size_t bytes)
	{
		learn_freed(p);
		learn_fresh(p, bytes);
	}
	static std::vector<learned> sums()
	{
		std::vector<learned> all(SITES_MOST);

		learn_sum(all.data());
		all.resize(sites_count());
		return all;
	}
	// The only site that there is.
	static learned sum()
	{
		auto all = sums();

		EXPECT_EQ(all.size(), 1u);
		return all.empty() ? learned{} : all[0];
	}

	std::unique_ptr<fake::Kernel> running;
	char *place;
};

// ---- density ----

TEST_F(Learning, UnitsThatWereNeverTouchedAreNoRoom)
{
	born(0, 6 * unit, 3);
	touch(4 * unit, 100);
	EXPECT_EQ(sum().room, 2 * unit);
	EXPECT_EQ(sum().touched, 103 * page);
}

TEST_F(Learning, ADenseBlockIsTouchedAllOver)
{
	born(0, 5 * MiB, 5 * MiB / page);
	EXPECT_EQ(sum().room, 5 * MiB) << "of the last unit, what the block has";
	EXPECT_EQ(sum().touched, 5 * MiB);
}

TEST_F(Learning, UnitsBeginWhereTheBlockDoes)
{
	born(unit / 2, unit, unit / page);
	EXPECT_EQ(sum().room, unit);
	EXPECT_EQ(sum().touched, unit);
}

TEST_F(Learning, WhatWasFreedCountsAsItWasThen)
{
	char *p = born(0, unit, 10);

	freed(p, unit);
	learned then = sum();
	EXPECT_EQ(then.room, unit);
	EXPECT_EQ(then.touched, 10 * page);
	touch(0, 200); // by somebody else
	EXPECT_EQ(sum().touched, 10 * page);
}

TEST_F(Learning, LookingChangesNothing)
{
	born(0, unit, 10);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(sum().touched, 10 * page);
		EXPECT_EQ(sum().live, unit);
	}
	touch(0, 30);
	EXPECT_EQ(sum().touched, 30 * page) << "and the block lives on";
}

TEST_F(Learning, SitesAreToldApart)
{
	born(0, unit, 1);
	born(unit, unit, 512);
	auto all = sums();
	ASSERT_EQ(all.size(), 2u);
	EXPECT_EQ(all[0].touched, page);
	EXPECT_EQ(all[1].touched, unit);
}

// Without PAGEMAP_SCAN mincore() tells, here the fake's.
TEST_F(Learning, WithoutPagemapScan)
{
	auto look = [this] {
		if (!forbid_pagemap_scan())
			_exit(77);
		born(0, 2 * unit, 7);
		size_t before = running->count(fake::RESIDENT);
		learned l = sum();
		_exit(l.touched == 7 * page && l.room == unit &&
		                      running->count(fake::RESIDENT) > before
		              ? 0
		              : 1);
	};

	EXPECT_EXIT(look(), testing::ExitedWithCode(0), "");
}

// ---- bytes, lifetime ----

TEST_F(Learning, ThePeakIsWhatLivesAtOnce)
{
	char *blocks[4];

	for (int round = 0; round < twice; round++) {
		for (int i = 0; i < 2 * twice; i++)
			blocks[i] = born(i * MiB, MiB);
		for (char *p : blocks)
			freed(p, MiB);
	}
	EXPECT_EQ(sum().count, 8u);
	EXPECT_EQ(sum().bytes, 8 * MiB);
	EXPECT_EQ(sum().peak, 4 * MiB);
	EXPECT_EQ(sum().live, 0u);
}

TEST_F(Learning, LifetimesAddUp)
{
	char *blocks[2];

	for (int i = 0; i < twice; i++) {
		blocks[i] = born(i * MiB, MiB);
		running->advance(SECOND);
	}
	freed(blocks[0], MiB);
	EXPECT_EQ(sum().lifetime, 3 * SECOND) << "as if the other ended now";
	running->advance(10 * SECOND);
	EXPECT_EQ(sum().lifetime, 13 * SECOND);
	freed(blocks[1], MiB);
	running->advance(10 * SECOND);
	EXPECT_EQ(sum().lifetime, 13 * SECOND);
	EXPECT_EQ(learn_run(), 22 * SECOND);
}

TEST_F(Learning, BlocksThatMoveAndGrowGoOn)
{
	char *p = born(0, MiB, 4);

	running->advance(SECOND);
	learn_moved(p, p, 3 * MiB);
	learn_moved(p, place + 8 * MiB, 4 * MiB);
	touch(8 * MiB, 9);
	running->advance(SECOND);
	EXPECT_EQ(sum().count, 1u);
	EXPECT_EQ(sum().bytes, 4 * MiB);
	EXPECT_EQ(sum().peak, 4 * MiB);
	EXPECT_EQ(sum().touched, 9 * page);
	EXPECT_EQ(sum().lifetime, 2 * SECOND);
	learn_moved(place + 8 * MiB, place + 8 * MiB, 2 * MiB);
	EXPECT_EQ(sum().live, 2 * MiB);
	learn_moved(place + 8 * MiB, place + 8 * MiB, 1000);
	EXPECT_EQ(sum().live, 0u) << "too small to be followed";
}

TEST_F(Learning, BothEndsOfAMappingMayBeCutOff)
{
	char *p = born(0, 8 * MiB, 8 * MiB / page);

	learn_unmapped(p, MiB);
	EXPECT_EQ(sum().live, 7 * MiB);
	EXPECT_EQ(sum().touched, 7 * MiB);
	learn_unmapped(p + MiB, 7 * MiB);
	EXPECT_EQ(sum().live, 0u);
	EXPECT_EQ(sum().count, 1u);
}

TEST_F(Learning, SmallBlocksAndUnknownOnesAreLeftAlone)
{
	born(0, LEARN_LEAST - 1, 3);
	learn_freed(place + MiB);
	learn_moved(place + MiB, place + 2 * MiB, MiB);
	for (const learned &l : sums())
		EXPECT_EQ(l.count + l.live + l.touched, 0u);
}

TEST_F(Learning, ABlockThatTookAnothersPlaceUnnoticed)
{
	char *p = nullptr;

	for (int i = 0; i < twice; i++)
		p = born(0, MiB, 5);
	EXPECT_EQ(sum().count, 2u);
	EXPECT_EQ(sum().live, MiB);
	EXPECT_EQ(sum().touched, 5 * page);
	freed(p, MiB);
	EXPECT_EQ(sum().live, 0u);
}

// ---- fork ----

// The exit status of a forked child that does this.
template <typename F> int in_child(F work)
{
	int status = -1;
	pid_t child = fork();

	if (!child)
		_exit(work());
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST_F(Learning, AChildKnowsItsOwnBlocksOnly)
{
	char *inherited = born(0, unit, 10);

	running->advance(5 * SECOND);
	EXPECT_FALSE(learn_in_child());
	EXPECT_EQ(in_child([&] {
			  bool forgot = learn_in_child() && !learn_run() && sum().count == 0 &&
		                        sum().live == 0 && sum().touched == 0;
			  freed(inherited, unit);
			  forgot = forgot && sum().live == 0 && sum().touched == 0;
			  born(8 * MiB, MiB, 3);
			  size_t count = 0, touched = 0;
			  for (const learned &l : sums()) {
				  count += l.count;
				  touched += l.touched;
			  }
			  return forgot && count == 1 && touched == 3 * page ? 0 : 1;
		  }),
	          0);
	EXPECT_EQ(sum().count, 1u);
	EXPECT_EQ(sum().live, unit);
	EXPECT_EQ(sum().touched, 10 * page);
	EXPECT_EQ(learn_run(), 5 * SECOND);
}

std::string read(const std::string &path)
{
	std::ifstream file(path);
	std::stringstream content;

	content << file.rdbuf();
	return content.str();
}

TEST_F(Learning, AChildDoesNotWriteOverItsParentsProfile)
{
	std::string path = testing::TempDir() + "unsplit_learn." + std::to_string(getpid());
	int status = -1;

	born(0, unit, 10);
	ASSERT_EQ(profile_write(path.c_str()), 0);
	std::string before = read(path);
	EXPECT_NE(before.find("\"touched\": 40960"), std::string::npos) << before;
	pid_t child = fork();
	if (!child)
		_exit(profile_write(path.c_str()));
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(read(path), before);
	std::string own = path + "." + std::to_string(child);
	EXPECT_NE(read(own).find("\"profile\": 1"), std::string::npos);
	EXPECT_EQ(read(own).find("\"touched\""), std::string::npos) << read(own);
	// Where paths differ by process anyway, they stay as they are.
	child = fork();
	if (!child)
		_exit(profile_write((path + "-%p").c_str()));
	ASSERT_EQ(waitpid(child, &status, 0), child);
	std::string named = path + "-" + std::to_string(child);
	EXPECT_NE(read(named).find("\"profile\": 1"), std::string::npos);
	for (const std::string &name : {path, own, named})
		unlink(name.c_str());
}

// ---- without memory ----

TEST(LearningOff, WithoutAddressSpace)
{
	read_names();
	fake::Kernel fake;

	strcpy(options.learn, "anywhere");
	fake.usable_limit = size_t{1} << 30;
	testing::internal::CaptureStderr();
	site_init();
	EXPECT_EQ(testing::internal::GetCapturedStderr(),
	          "unsplit: no address space for what is to be learned (9 GiB); learn is off\n");
	EXPECT_TRUE(site_active);
	EXPECT_FALSE(learn_active);
	learn_reset();
	site_reset();
	options_default(&options);
}

} // namespace
