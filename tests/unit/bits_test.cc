// bits.h against a plain array of bool.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "random.h"

extern "C" {
#include "pmd/bits.h"
}

namespace
{

using test::Random;
using Plain = std::array<bool, UNIT_PAGES>;

unsigned next(const Plain &plain, unsigned from, bool value)
{
	while (from < UNIT_PAGES && plain[from] != value)
		from++;
	return std::min(from, unsigned(UNIT_PAGES));
}

struct Run {
	unsigned start, length;
};

std::vector<Run> clear_runs(const Plain &plain)
{
	std::vector<Run> runs;

	for (unsigned at = next(plain, 0, false); at < UNIT_PAGES;) {
		unsigned end = next(plain, at, true);

		runs.push_back({at, end - at});
		at = next(plain, end, false);
	}
	return runs;
}

unsigned longest_clear(const Plain &plain)
{
	unsigned longest = 0;

	for (const Run &run : clear_runs(plain))
		longest = std::max(longest, run.length);
	return longest;
}

// The lowest aligned place in the shortest run that has one.
unsigned best_clear(const Plain &plain, unsigned n, unsigned align)
{
	unsigned best = BITS_NONE, best_length = UNIT_PAGES + 1;

	for (const Run &run : clear_runs(plain)) {
		unsigned start = (run.start + align - 1) / align * align;

		if (start + n <= run.start + run.length && run.length < best_length) {
			best = start;
			best_length = run.length;
		}
	}
	return best;
}

void expect_same(const bits &b, const Plain &plain)
{
	unsigned count = 0;

	for (unsigned i = 0; i < UNIT_PAGES; i++) {
		ASSERT_EQ(bits_any(&b, i, 1), plain[i]) << "bit " << i;
		count += plain[i];
	}
	ASSERT_EQ(bits_count(&b), count);
}

TEST(Bits, EveryRange)
{
	for (unsigned from = 0; from < UNIT_PAGES; from++)
		for (unsigned n = 1; from + n <= UNIT_PAGES; n++) {
			bits b = {};

			bits_set(&b, from, n);
			ASSERT_EQ(bits_count(&b), n) << from << "+" << n;
			ASSERT_EQ(bits_next(&b, 0, true), from) << from << "+" << n;
			ASSERT_EQ(bits_next(&b, from, false), from + n) << from << "+" << n;
			ASSERT_TRUE(bits_any(&b, from, n));
			ASSERT_EQ(from && bits_any(&b, 0, from), false);
			bits_clear(&b, from, n);
			ASSERT_EQ(bits_count(&b), 0u) << from << "+" << n;
		}
}

TEST(Bits, ClearLeavesTheRest)
{
	for (unsigned from = 0; from < UNIT_PAGES; from += 7)
		for (unsigned n = 1; from + n <= UNIT_PAGES; n += 5) {
			bits b = {};

			bits_set(&b, 0, UNIT_PAGES);
			bits_clear(&b, from, n);
			ASSERT_EQ(bits_count(&b), UNIT_PAGES - n);
			ASSERT_EQ(bits_longest_clear(&b), n);
			ASSERT_EQ(bits_best_clear(&b, n, 1), from);
			ASSERT_EQ(bits_best_clear(&b, n + 1, 1), unsigned(BITS_NONE));
		}
}

TEST(Bits, NextAtTheEnds)
{
	bits b = {};

	EXPECT_EQ(bits_next(&b, 0, true), unsigned(UNIT_PAGES));
	EXPECT_EQ(bits_next(&b, UNIT_PAGES, false), unsigned(UNIT_PAGES));
	EXPECT_EQ(bits_next(&b, UNIT_PAGES - 1, false), UNIT_PAGES - 1u);
	bits_set(&b, 0, UNIT_PAGES);
	EXPECT_EQ(bits_next(&b, 0, false), unsigned(UNIT_PAGES));
	EXPECT_EQ(bits_next(&b, 63, true), 63u);
	EXPECT_EQ(bits_next(&b, 64, true), 64u);
}

TEST(Bits, LongestAndBest)
{
	bits b = {};

	EXPECT_EQ(bits_longest_clear(&b), unsigned(UNIT_PAGES));
	EXPECT_EQ(bits_best_clear(&b, UNIT_PAGES, UNIT_PAGES), 0u);
	// Free: [0, 10), [20, 25), [100, 512).
	bits_set(&b, 10, 10);
	bits_set(&b, 25, 75);
	EXPECT_EQ(bits_longest_clear(&b), 412u);
	EXPECT_EQ(bits_best_clear(&b, 5, 1), 20u);
	EXPECT_EQ(bits_best_clear(&b, 5, 4), 20u);
	EXPECT_EQ(bits_best_clear(&b, 5, 8), 0u); // 24 is the only multiple of 8 in [20, 25)
	EXPECT_EQ(bits_best_clear(&b, 6, 1), 0u);
	EXPECT_EQ(bits_best_clear(&b, 11, 1), 100u);
	EXPECT_EQ(bits_best_clear(&b, 11, 64), 128u);
	EXPECT_EQ(bits_best_clear(&b, 413, 1), unsigned(BITS_NONE));
	bits_set(&b, 0, UNIT_PAGES);
	EXPECT_EQ(bits_longest_clear(&b), 0u);
	EXPECT_EQ(bits_best_clear(&b, 1, 1), unsigned(BITS_NONE));
}

TEST(Bits, RandomAgainstPlainArray)
{
	TRACE_SEED();
	Random random(1);
	bits b = {};
	Plain plain = {};

	for (size_t i = 0; i < test::effort(200000); i++) {
		unsigned from = unsigned(random.below(UNIT_PAGES));
		unsigned n =
			unsigned(std::min<uint64_t>(random.spread(UNIT_PAGES), UNIT_PAGES - from));
		unsigned align = 1u << random.below(10), want = unsigned(random.spread(UNIT_PAGES));
		bool set = random.one_in(2);

		(set ? bits_set : bits_clear)(&b, from, n);
		std::fill(plain.begin() + from, plain.begin() + from + n, set);
		ASSERT_EQ(bits_longest_clear(&b), longest_clear(plain)) << "step " << i;
		ASSERT_EQ(bits_best_clear(&b, want, align), best_clear(plain, want, align))
			<< "step " << i << ": " << want << " at a multiple of " << align;
		ASSERT_EQ(bits_next(&b, from, !set), next(plain, from, !set)) << "step " << i;
		ASSERT_EQ(bits_any(&b, from, want <= UNIT_PAGES - from ? want : 1),
		          next(plain, from, true) < from + (want <= UNIT_PAGES - from ? want : 1));
		if (i % 64 == 0)
			expect_same(b, plain);
	}
}

} // namespace
