/* Small programs must not notice us: no huge page, hardly more memory, hardly more faults.  This
 * test program runs without the shim; its children run with and without. */
#include "footprint.h"
#include "support.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace support;

namespace
{

using Command = std::vector<std::string>;

const Command small_programs[] = {
	{"/bin/true"},
	{"/bin/sh", "-c", "for i in 1 2 3; do :; done"},
	{"/bin/sh", "-c",
         "n=0; while [ $n -lt 200 ]; do n=$((n + 1)); s=\"$s $n\"; done; x=$(echo $s | wc -c); "
         "echo "
         "$x"},
	{"/bin/ls", "-l", "/usr/bin"},
};

/* The least of three runs: what other processes do to the page cache is not the program's. */
Footprint least(const Command &command, const std::string &preload)
{
	Footprint best = footprint_of(command, preload);

	for (int i = 0; i < 2; i++) {
		Footprint again = footprint_of(command, preload);

		best.peak = std::min(best.peak, again.peak);
		best.faults = std::min(best.faults, again.faults);
		best.huge = std::max(best.huge, again.huge);
		best.status |= again.status;
	}
	return best;
}

int difference(size_t a, size_t b)
{
	return static_cast<int>(a) - static_cast<int>(b);
}

class SmallPrograms : public testing::TestWithParam<Command>
{
      protected:
	const std::string library_ = needed_env("UNSPLIT_LIB");
	const Footprint plain_ = least(GetParam(), "");
	const Footprint shim_ = least(GetParam(), library_);

	void SetUp() override
	{
		ASSERT_EQ(plain_.status, 0);
		ASSERT_EQ(shim_.status, 0);
		ASSERT_GT(plain_.peak, 100 * KiB) << "the figures were not read";
		ASSERT_TRUE(shim_.loaded);
		ASSERT_FALSE(plain_.loaded);
		RecordProperty("peak_more_kib", difference(shim_.peak, plain_.peak) / 1024);
		RecordProperty("faults_more", difference(shim_.faults, plain_.faults));
	}
};

TEST_P(SmallPrograms, HaveNoHugePage)
{
	EXPECT_EQ(shim_.huge, 0u);
}

TEST_P(SmallPrograms, StaySmall)
{
	EXPECT_LE(shim_.peak, plain_.peak + MiB);
}

/* 1 MiB of 4 KiB pages. */
TEST_P(SmallPrograms, FaultHardlyMore)
{
	EXPECT_LE(shim_.faults, plain_.faults + 256);
}

INSTANTIATE_TEST_SUITE_P(Preload, SmallPrograms, testing::ValuesIn(small_programs));

/* The other way round: figures that never show a huge page would prove nothing. */
TEST(SmallProgramsControl, AHugePageIsSeen)
{
	Footprint figures = footprint_of({needed_env("UNSPLIT_HALF_UNIT"), "whole"}, "");

	ASSERT_EQ(figures.status, 0);
	EXPECT_GE(figures.huge, 2 * MiB);
}

} // namespace
