/* The kernel's own counters around whole runs.  They count every process of the machine, so this
 * test must run alone (RUN_SERIAL); it runs without the shim itself. */
#include "support.h"

#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>

using namespace support;

namespace
{

struct Splits {
	int64_t deferred; /* partially mapped folios queued for a split (K1) */
	uint64_t pmd;     /* huge mappings taken apart */
	uint64_t faults;  /* huge pages made by faults: none would mean that nothing was tested */
};

Splits splits_now()
{
	return {partial_splits(), vmstat("thp_split_pmd"), vmstat("thp_fault_alloc")};
}

/* What happened while a command ran. */
Splits splits_during(const std::string &command)
{
	Splits before = splits_now();
	int status = system(command.c_str());
	Splits after = splits_now();

	EXPECT_EQ(status, 0) << command;
	return {after.deferred - before.deferred, after.pmd - before.pmd,
	        after.faults - before.faults};
}

bool nothing_split(const Splits &splits)
{
	return splits.deferred == 0 && splits.pmd == 0;
}

bool nothing_deferred(const Splits &splits)
{
	return splits.deferred == 0;
}

using Clean = bool (*)(const Splits &);

/* The least of up to three runs, until one is clean: an event of another process does not come
 * three times, ours would. */
Splits least_splits_during(const std::string &command, Clean clean)
{
	Splits least = splits_during(command);

	for (int i = 0; i < 2 && !clean(least); i++) {
		Splits again = splits_during(command);

		least.deferred = std::min(least.deferred, again.deferred);
		least.pmd = std::min(least.pmd, again.pmd);
		least.faults = std::min(least.faults, again.faults);
	}
	return least;
}

/* Churn with this release setting.  The light phase is longer than freed units are kept, so that
 * they go back and come again. */
Splits splits_of_churn(const std::string &release, const std::string &options, Clean clean)
{
	return least_splits_during("UNSPLIT_CONF=release:" + release +
	                                   " LD_PRELOAD=" + needed_env("UNSPLIT_LIB") + " " +
	                                   needed_env("UNSPLIT_CHURN") +
	                                   " --objects 20000 --replacements 100000"
	                                   " --phases grow,churn,drain,light:3,regrow,free " +
	                                   options + " >/dev/null",
	                           clean);
}

/* Whole returns only: nothing is split, not even on purpose. */
TEST(Counters, KeepSplitsNothing)
{
	for (const char *options : {"", "--threads 4 --remote 0.3"}) {
		Splits splits = splits_of_churn("keep", options, nothing_split);

		EXPECT_EQ(splits.deferred, 0) << options;
		EXPECT_EQ(splits.pmd, 0u) << options;
		EXPECT_GE(splits.faults, 200u) << "hardly a huge page was used";
	}
}

/* These may give up part of a unit, by a split that is done at once (K1): none is ever deferred. */
TEST(Counters, BalancedAndTightDeferNoSplit)
{
	for (const char *release : {"balanced", "tight"}) {
		Splits splits =
			splits_of_churn(release, "--threads 2 --remote 0.3", nothing_deferred);

		EXPECT_EQ(splits.deferred, 0) << release;
		EXPECT_GE(splits.faults, 200u) << "hardly a huge page was used";
	}
}

TEST(CountersControl, HalfUnitsGivenBackAreCounted)
{
	Splits splits = splits_during(needed_env("UNSPLIT_HALF_UNIT") + " half");

	EXPECT_GE(splits.deferred, 8);
	EXPECT_GE(splits.pmd, 8u);
}

TEST(CountersControl, WholeUnitsAreNotCounted)
{
	Splits splits =
		least_splits_during(needed_env("UNSPLIT_HALF_UNIT") + " whole", nothing_split);

	EXPECT_EQ(splits.deferred, 0);
	EXPECT_EQ(splits.pmd, 0u);
}

} // namespace
