// Mappings that are only to be aligned: who is taken for such a caller, and where they lie then.
//
// The calls go to the running kernel, through hooks that can make any of them fail.  No huge page
// is needed.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <set>
#include <sys/mman.h>
#include <vector>

#include "failing_calls.h"

extern "C" {
#include "kernel/kernel.h"
#include "map/aligner.h"
#include "map/map.h"
#include "map/notes.h"
#include "map/packing.h"
#include "map/place.h"
#include "map/row.h"
#include "options.h"
}

namespace
{

using namespace failing;

constexpr int like = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
constexpr int opened = PROT_READ | PROT_WRITE;
constexpr int collapse = 25; // MADV_COLLAPSE
constexpr int enough = 8;    // mappings that prove any caller

int fail_collapse;
std::vector<uintptr_t> collapsed;
uint64_t clock_now;

long noted_advise(void *addr, size_t bytes, int advice)
{
	if (advice == collapse)
		collapsed.push_back(reinterpret_cast<uintptr_t>(addr));
	if (advice == collapse && fail_collapse)
		return -fail_collapse;
	return advise(addr, bytes, advice);
}

const struct kernel_map noting_hooks = {hooks.mmap, hooks.munmap, hooks.mremap, noted_advise,
                                        hooks.mprotect};

char *pointer(uintptr_t address)
{
	return reinterpret_cast<char *>(address);
}

bool is_mapped(uintptr_t address)
{
	unsigned char resident;

	return mincore(pointer(address), machine.page, &resident) == 0;
}

// How a program asks.  The hints lie where the sanitizers have nothing of their own.
struct Habit {
	size_t keep = 256 << 10, align = 256 << 10, surplus = align - 4096;
	int access = PROT_NONE, flags = like, then = opened;
	uintptr_t first_hint = 0x566000000000, step = uintptr_t{1} << 31;
	uintptr_t caller = 0x558000000000;
	bool trims = true, opens = true;
	size_t opens_less = 0;
};

class Row : public testing::Test
{
      protected:
	uintptr_t hint_ = 0;
	std::vector<std::pair<uintptr_t, size_t>> left_;

	void SetUp() override
	{
		machine_init();
		if (machine.unit != 2 << 20)
			GTEST_SKIP() << "the sizes here are for units of 2 MiB";
		kernel = &kernel_linux;
		kernel_map = &noting_hooks;
		options_default(&options);
		options.huge_after = 0;
		ASSERT_TRUE(notes_init());
		map_active = true;
		forget();
	}

	void TearDown() override
	{
		unmap_all();
		forget();
		map_active = false;
		kernel_map = &kernel_map_linux;
	}

	void forget()
	{
		fail_at = fail_collapse = calls = 0;
		clock_now = 1;
		collapsed.clear();
		notes_reset();
		packing_reset();
		row_reset();
		aligner_reset();
	}

	void unmap_all()
	{
		fail_at = 0;
		for (auto &[at, bytes] : left_)
			raw_munmap(pointer(at), bytes);
		left_.clear();
	}

	uintptr_t reserve(const Habit &h)
	{
		hint_ = hint_ ? hint_ + h.step : h.first_hint;
		const long p = map_mmap(pointer(hint_), h.keep + h.surplus, h.access, h.flags, -1,
		                        0, pointer(h.caller));
		if (p > 0)
			left_.emplace_back(p, h.keep + h.surplus);
		return p < 0 ? 0 : static_cast<uintptr_t>(p);
	}

	// As V8 does it, whatever it got.
	uintptr_t trim_and_open(const Habit &h, uintptr_t p)
	{
		const uintptr_t start = (p + h.align - 1) & -h.align, end = p + h.keep + h.surplus;

		if (h.trims && start > p)
			map_munmap(pointer(p), start - p);
		if (h.trims && end > start + h.keep)
			map_munmap(pointer(start + h.keep), end - start - h.keep);
		if (h.opens)
			map_mprotect(pointer(start), h.keep - h.opens_less, h.then);
		if (h.trims)
			left_.back() = {start, h.keep};
		return start;
	}

	uintptr_t chunk(const Habit &h)
	{
		const uintptr_t p = reserve(h);

		return p ? trim_and_open(h, p) : 0;
	}

	void prove(const Habit &h)
	{
		for (int i = 0; i < enough; i++)
			ASSERT_NE(chunk(h), 0u);
	}

	// Whether it gets what it asks for, however often it asks.  Nothing is known of it before.
	void expect_hints(const Habit &h)
	{
		forget();
		expect_hints_now(h);
		unmap_all();
		hint_ = 0;
	}

	void expect_hints_now(const Habit &h)
	{
		for (int i = 0; i < 3 * enough; i++) {
			const uintptr_t p = reserve(h);

			ASSERT_EQ(p, hint_) << "number " << i;
			trim_and_open(h, p);
		}
	}
};

TEST_F(Row, OneThatOnlyWantsAlignmentFillsUnits)
{
	const Habit v8;

	prove(v8);
	std::set<uintptr_t> chunks;
	for (int i = 0; i < 64; i++) {
		const uintptr_t p = chunk(v8);

		ASSERT_NE(p, 0u);
		EXPECT_EQ(p % v8.align, 0u);
		EXPECT_EQ(*pointer(p), 0);
		memset(pointer(p), 1, v8.keep);
		EXPECT_TRUE(chunks.insert(p).second) << "handed out twice";
	}
	EXPECT_EQ(*chunks.rbegin() - *chunks.begin(), 63 * v8.keep);
	EXPECT_GE(collapsed.size(), 7u);
	for (const uintptr_t unit : collapsed)
		EXPECT_EQ(unit % machine.unit, 0u);
	for (const uintptr_t p : chunks)
		EXPECT_EQ(pointer(p)[v8.keep - 1], 1);
}

TEST_F(Row, WhatIsReservedOrTrimmedIsNotThere)
{
	const Habit v8;

	prove(v8);
	for (int i = 0; i < 20; i++) {
		const uintptr_t p = reserve(v8), tail = p + v8.keep;

		ASSERT_NE(p, hint_);
		EXPECT_TRUE(is_mapped(p));
		EXPECT_TRUE(is_mapped(tail + v8.surplus - machine.page));
		trim_and_open(v8, p);
		EXPECT_TRUE(is_mapped(tail - machine.page));
		for (size_t at = 0; at < v8.surplus; at += machine.page)
			ASSERT_FALSE(is_mapped(tail + at));
	}
}

TEST_F(Row, TheFirstOnesAreNotCollapsedYet)
{
	const Habit v8;

	options.huge_after = 1 << 20;
	prove(v8);
	for (int i = 0; i < 20; i++)
		chunk(v8);
	EXPECT_TRUE(collapsed.empty());
	for (int i = 0; i < 20; i++)
		chunk(v8);
	EXPECT_GE(collapsed.size(), 4u) << "those that were full before, too";
}

TEST_F(Row, NoHugePagesLeftIsNotAskedForEachTime)
{
	const Habit v8;

	struct kernel slow_kernel = kernel_linux;
	slow_kernel.now = [] { return clock_now; };
	kernel = &slow_kernel;
	prove(v8);
	fail_collapse = ENOMEM;
	for (int i = 0; i < 8 * 20; i++)
		chunk(v8);
	EXPECT_EQ(collapsed.size(), 1u);
	for (int i = 0; i < 100; i++) {
		clock_now += 100000000;
		chunk(v8);
	}
	const size_t failed = collapsed.size();
	EXPECT_GT(failed, 3u);
	EXPECT_LT(failed, 20u) << "it waits longer and longer";
	fail_collapse = 0;
	for (int i = 0; i < 100; i++) {
		clock_now += 10000000000;
		chunk(v8);
	}
	EXPECT_GE(collapsed.size(), failed + 100 / 8) << "when there are some again, it goes on";
	kernel = &kernel_linux;
}

TEST_F(Row, OthersGetTheirHints)
{
	Habit h;

	h.access = PROT_READ | PROT_WRITE;
	expect_hints(h);
	h = {}, h.access = PROT_READ | PROT_EXEC;
	expect_hints(h);
	h = {}, h.then = PROT_READ | PROT_WRITE | PROT_EXEC;
	expect_hints(h);
	h = {}, h.flags = like | MAP_FIXED_NOREPLACE;
	expect_hints(h);
	h = {}, h.flags = like | MAP_FIXED;
	expect_hints(h);
	h = {}, h.flags = like | MAP_STACK;
	expect_hints(h);
	h = {}, h.flags = MAP_PRIVATE | MAP_ANONYMOUS;
	expect_hints(h);
	h = {}, h.caller = 0;
	expect_hints(h);
}

TEST_F(Row, HintsThatMeanSomethingAreFollowed)
{
	Habit h;

	h.step = 512 << 10; // one beside the other
	expect_hints(h);
	h = {}, h.first_hint = h.caller - (uintptr_t{2} << 30), h.step = 1 << 20;
	expect_hints(h); // near the code
	h = {}, h.first_hint = uintptr_t{1} << 30, h.step = 16 << 20;
	expect_hints(h); // in 32 bits
	h = {}, h.first_hint += 64 << 10;
	expect_hints(h); // it could not keep what it asked for there
}

TEST_F(Row, LowHintsAreFollowedEvenOfAProvenCaller)
{
	Habit v8;

	prove(v8);
	ASSERT_NE(reserve(v8), hint_) << "not proven: nothing is tested";
	v8.first_hint = uintptr_t{1} << 30;
	hint_ = 0;
	EXPECT_EQ(reserve(v8), hint_);
	hint_ = v8.caller + (uintptr_t{1} << 31) - v8.step;
	EXPECT_EQ(reserve(v8), hint_);
}

TEST_F(Row, SurplusAtAHintThatIsNotAlignedSaysNothing)
{
	Habit h;

	h.first_hint += 64 << 10; // here it needs the surplus
	prove(h);
	h.step -= 64 << 10;
	EXPECT_EQ(reserve(h), hint_);
	EXPECT_EQ(hint_ % h.align, 0u) << "nothing is tested";
}

TEST_F(Row, SurplusMustBeForAlignment)
{
	Habit h;

	h.trims = false;
	expect_hints(h);
	h = {}, h.opens = false;
	expect_hints(h);
	h = {}, h.opens_less = 4096;
	expect_hints(h);
	h = {}, h.surplus = 128 << 10;
	expect_hints(h);
	h = {}, h.surplus = h.align;
	expect_hints(h);
}

TEST_F(Row, TwoAlignmentsProveNothing)
{
	Habit one, other;

	other.keep = other.align = 128 << 10;
	other.surplus = other.align - 4096;
	chunk(one);
	chunk(one);
	chunk(other);
	expect_hints_now(one);
}

TEST_F(Row, PackOffMeansOff)
{
	options.pack = false;
	expect_hints(Habit());
}

TEST_F(Row, OneThatInsistsIsLeftAlone)
{
	const Habit v8;

	prove(v8);
	const uintptr_t p = reserve(v8);
	ASSERT_NE(p, hint_) << "not proven: nothing is tested";
	EXPECT_EQ(map_munmap(pointer(p), v8.keep + v8.surplus), 0);
	EXPECT_FALSE(is_mapped(p));
	expect_hints_now(v8);
}

TEST_F(Row, AChunkThatIsFreedIsNotInsistence)
{
	const Habit v8;

	prove(v8);
	for (int i = 0; i < 20; i++) {
		const uintptr_t p = chunk(v8);

		EXPECT_NE(p, hint_);
		EXPECT_EQ(map_munmap(pointer(p), v8.keep), 0);
		EXPECT_FALSE(is_mapped(p));
	}
}

TEST_F(Row, WhoCameFirstKeepsHisPlace)
{
	const Habit v8;

	prove(v8);
	const uintptr_t p = chunk(v8), tail = p + v8.keep;
	char *other = pointer(raw_mmap(pointer(tail), machine.page, opened,
	                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	ASSERT_EQ(other, pointer(tail));
	*other = 7;
	const uintptr_t next = chunk(v8);
	EXPECT_EQ(next % machine.unit, 0u);
	EXPECT_GT(next, tail);
	EXPECT_EQ(*other, 7);
	EXPECT_EQ(chunk(v8), next + v8.keep);
	raw_munmap(other, machine.page);
}

TEST_F(Row, SeveralAtOnceDoNotOverlap)
{
	const Habit v8;
	std::vector<uintptr_t> pieces;

	prove(v8);
	for (int i = 0; i < 12; i++)
		pieces.push_back(reserve(v8));
	for (const uintptr_t a : pieces) {
		for (const uintptr_t b : pieces)
			EXPECT_TRUE(a == b || a + v8.keep + v8.surplus <= b ||
			            b + v8.keep + v8.surplus <= a);
		EXPECT_EQ(map_mprotect(pointer(a), v8.keep + v8.surplus, opened), 0);
		EXPECT_EQ(*pointer(a), 0);
		memset(pointer(a), 1, v8.keep + v8.surplus);
	}
	for (int i = 0; i < 12; i++)
		EXPECT_NE(chunk(v8), 0u);
}

TEST_F(Row, WhatIsMappedOverARowIsNotHandedOut)
{
	const Habit v8;

	prove(v8);
	const uintptr_t p = chunk(v8), far = p + 4 * machine.unit;
	const long over = map_mmap(pointer(far), machine.unit, opened,
	                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, nullptr);
	ASSERT_EQ(over, static_cast<long>(far));
	left_.emplace_back(far, machine.unit);
	for (int i = 0; i < 200; i++) {
		const uintptr_t q = chunk(v8);
		EXPECT_TRUE(q + v8.keep <= far || q >= far + machine.unit);
	}
}

TEST_F(Row, BigOnesLieOnUnits)
{
	Habit v8;

	prove(v8);
	v8.keep = 3 * machine.unit;
	for (int i = 0; i < 3; i++) {
		const uintptr_t p = chunk(v8);

		EXPECT_EQ(p % machine.unit, 0u);
		EXPECT_TRUE(note_advised(p));
		EXPECT_FALSE(is_mapped(p + v8.keep));
	}
	v8.keep = 40 * machine.unit; // to be carved up
	const uintptr_t p = reserve(v8);
	EXPECT_EQ(p, hint_);
}

TEST_F(Row, OddOnesWouldLeaveGaps)
{
	Habit v8;

	prove(v8);
	v8.keep += machine.page;
	EXPECT_EQ(reserve(v8), hint_);
}

TEST_F(Row, SurvivesEachFailure)
{
	const Habit v8;

	for (int error : {ENOMEM, EINVAL, EAGAIN, EEXIST})
		for (int n = 1; n < 60; n++) {
			SCOPED_TRACE(testing::Message() << "call " << n << " fails with " << error);
			prove(v8);
			fail_with = error;
			calls = 0;
			fail_at = n;
			for (int i = 0; i < 12; i++) {
				const uintptr_t p = reserve(v8);
				if (!p) {
					EXPECT_GE(calls, fail_at);
					continue;
				}
				const bool before = calls < n;
				trim_and_open(v8, p);
				if (before == (calls < n))
					memset(pointer(p), 1, v8.keep);
			}
			unmap_all();
			forget();
		}
}

} // namespace
