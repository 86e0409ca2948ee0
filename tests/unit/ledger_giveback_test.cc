// Demotion in the ledger: what is given back, and what others may do meanwhile.  The simple cases
// stand in ledger_test.cc.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "random.h"
#include "release_fixture.h"

namespace
{

using fake::SLICE_PAGES;
using fake::SLICES;
using test::Random;

class LedgerGiveBack : public testing::Test, public fake::Release
{
      protected:
	LedgerGiveBack() : Release(16), l(&ledgers[0])
	{
	}
	// A unit of which `free` slices, from `from` on, are free.
	void leave(size_t unit, size_t from, size_t free)
	{
		take_slices(unit * SLICES, SLICES);
		write_slices(unit * SLICES, SLICES);
		give_slices(unit * SLICES + from, free);
	}
	uint32_t backed_slices(size_t unit)
	{
		return reinterpret_cast<uint32_t *>(l->backed.base)[unit];
	}

	struct ledger *l;
};

TEST_F(LedgerGiveBack, ExactlyTheFreeSlices)
{
	leave(0, 4, 8);
	give_slices(20, 2);
	fake.forget_events();
	EXPECT_EQ(ledger_worst_slack(l), 10 * SLICE_PAGES);
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 10 * SLICE_PAGES);
	std::vector<fake::Call> calls;
	for (const fake::Event &event : fake.events())
		calls.push_back(event.call);
	EXPECT_EQ(calls, (std::vector<fake::Call>{fake::EXCLUSIVE, fake::ADVISE_BASE, fake::SPLIT,
	                                          fake::SURVEY, fake::GIVE_BACK, fake::GIVE_BACK}));
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[0].addr, slice(4));
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[0].bytes, 8 * slice_bytes());
	EXPECT_EQ(fake.events(fake::GIVE_BACK)[1].addr, slice(20));
	EXPECT_EQ(backed(), 22 * slice_bytes());
	EXPECT_EQ(backed_slices(0), 0xffcff00fu);
	EXPECT_EQ(ledger_worst_slack(l), 0u);
	for (size_t i : {0, 12, 19, 22, 31})
		EXPECT_TRUE(holds(slice(i), SLICE_PAGES));
	check();
}

TEST_F(LedgerGiveBack, OnlyUnitsThatHaveSoMuch)
{
	leave(0, 1, 10);
	leave(1, 1, 20);
	leave(2, 1, 30);
	EXPECT_EQ(ledger_worst_slack(l), 30 * SLICE_PAGES);
	EXPECT_EQ(ledger_demote(l, 30 * SLICE_PAGES, SIZE_MAX), 30 * SLICE_PAGES);
	EXPECT_EQ(ledger_demote(l, 11 * SLICE_PAGES, SIZE_MAX), 20 * SLICE_PAGES);
	EXPECT_TRUE(fake.huge(slice(0)));
	EXPECT_EQ(ledger_slack(l), 10 * SLICE_PAGES);
	check();
}

TEST_F(LedgerGiveBack, NotMuchMoreThanAsked)
{
	for (size_t i = 0; i < 4; i++)
		leave(i, 1, 20);
	EXPECT_EQ(ledger_demote(l, 1, 20 * SLICE_PAGES), 20 * SLICE_PAGES);
	EXPECT_EQ(ledger_demote(l, 1, 1), 20 * SLICE_PAGES);
	EXPECT_EQ(l->demoted, 2u);
	EXPECT_EQ(ledger_demote(l, 1, 0), 0u);
	check();
}

TEST_F(LedgerGiveBack, FreeUnitsAreNotSlack)
{
	take_slices(0, 2 * SLICES);
	give_slices(0, SLICES);
	EXPECT_EQ(ledger_slack(l), 0u);
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 0u) << "whole units are returned whole";
	check();
}

TEST_F(LedgerGiveBack, TakenAgainReadsZeroAndIsBackedAgain)
{
	leave(0, 8, 16);
	ledger_demote(l, 1, SIZE_MAX);
	take_slices(10, 4);
	EXPECT_TRUE(holds(slice(10), 4 * SLICE_PAGES, 0));
	write_slices(10, 4);
	give_slices(10, 2);
	EXPECT_EQ(ledger_slack(l), 2 * SLICE_PAGES);
	fake.forget_events();
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 2 * SLICE_PAGES);
	EXPECT_EQ(fake.count(fake::SPLIT), 0u) << "it is split already";
	EXPECT_EQ(l->demoted, 1u);
	EXPECT_EQ(backed(), 18 * slice_bytes());
	check();
}

// Before Linux 6.7 a demoted unit is split again each time: that must come to an end.
TEST_F(LedgerGiveBack, WithoutASurveyNoSlackIsLeftEither)
{
	fake.fail_always(fake::SURVEY, ENOTTY);
	leave(0, 4, 8);
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 8 * SLICE_PAGES);
	EXPECT_EQ(ledger_slack(l), 0u);
	give_slices(20, 2);
	EXPECT_GE(ledger_demote(l, 1, SIZE_MAX), 2 * SLICE_PAGES);
	EXPECT_EQ(ledger_slack(l), 0u);
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 0u);
	EXPECT_EQ(l->demoted, 1u);
	EXPECT_TRUE(consistent());
}

TEST_F(LedgerGiveBack, RefusedUnitsAreLeftAloneUntilUnpinned)
{
	leave(0, 1, 20);
	leave(1, 1, 20);
	fake.share(slice(0), true);
	fake.lock_pages(slice(SLICES), slice_bytes());
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 0u);
	EXPECT_EQ(stats.demote_failures, 2u);
	EXPECT_EQ(ledger_slack(l), 0u);
	EXPECT_EQ(l->demoted, 0u);
	EXPECT_EQ(fake.advice(slice(0)), fake::HUGE_PAGES);
	EXPECT_EQ(fake.advice(slice(SLICES)), fake::HUGE_PAGES);
	fake.share(slice(0), false);
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 0u);
	ledger_unpin(l);
	EXPECT_EQ(ledger_slack(l), 40 * SLICE_PAGES);
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 20 * SLICE_PAGES);
	EXPECT_TRUE(holds(slice(0), SLICE_PAGES));
	EXPECT_TRUE(consistent());
}

TEST_F(LedgerGiveBack, APinnedUnitIsOrdinaryAfterItsReturn)
{
	leave(0, 1, 20);
	fake.share(slice(0), true);
	ledger_demote(l, 1, SIZE_MAX);
	EXPECT_TRUE(word(0) & LEDGER_PINNED);
	give_slices(0, 1);
	give_slices(21, 11);
	EXPECT_EQ(ledger_return(l, SIZE_MAX), 1u);
	EXPECT_EQ(word(0), 0u);
	check();
}

TEST_F(LedgerGiveBack, KhugepagedBetweenAnyTwoCalls)
{
	for (size_t i = 0; i < 4; i++)
		leave(i, 1, 30);
	fake.during = [&](const fake::Event &) { fake.khugepaged(); };
	EXPECT_EQ(ledger_demote(l, 1, SIZE_MAX), 120 * SLICE_PAGES);
	EXPECT_EQ(fake.khugepaged(), 0u);
	EXPECT_EQ(backed(), 8 * slice_bytes());
	check();
}

// Each call refused, and what was refused stays counted.
TEST_F(LedgerGiveBack, APartThatIsRefused)
{
	for (size_t nth : {1, 2}) {
		leave(0, 4, 4);
		give_slices(20, 4);
		fake.fail(fake::GIVE_BACK, nth, EINVAL);
		EXPECT_EQ(ledger_demote(l, 1, 1), 4 * SLICE_PAGES);
		EXPECT_EQ(ledger_slack(l), 4 * SLICE_PAGES);
		EXPECT_EQ(ledger_demote(l, 1, 1), 4 * SLICE_PAGES);
		EXPECT_EQ(backed(), 24 * slice_bytes());
		give_slices(0, 4);
		give_slices(8, 12);
		give_slices(24, 8);
		EXPECT_EQ(ledger_return(l, 1), 1u);
		check();
	}
}

// Whoever wants a slice of a unit that is being demoted waits.
TEST_F(LedgerGiveBack, TakersWaitGiversWait)
{
	for (fake::Call call : {fake::SPLIT, fake::GIVE_BACK}) {
		std::thread taker, giver;
		std::atomic<bool> taken{false}, given{false};

		leave(0, 4, 8);
		leave(1, 4, 7);
		fake.during = [&](const fake::Event &event) {
			if (event.call != call || event.addr >= slice(SLICES))
				return;
			fake.during = nullptr;
			EXPECT_TRUE(word(0) & LEDGER_BUSY);
			taker = std::thread([&] {
				ledger_take(l, slice(4), slice_bytes());
				taken = true;
			});
			giver = std::thread([&] {
				fake.disown(slice(31), slice_bytes());
				ledger_give(l, slice(31), slice_bytes());
				given = true;
			});
			// Others go on meanwhile.
			take_slices(SLICES + 4, 7);
			give_slices(SLICES + 4, 7);
			EXPECT_FALSE(taken || given);
		};
		EXPECT_EQ(ledger_demote(l, 1, 1), 8 * SLICE_PAGES);
		taker.join();
		giver.join();
		fake.own(slice(4), slice_bytes());
		EXPECT_TRUE(holds(slice(4), SLICE_PAGES, 0));
		EXPECT_TRUE(holds(slice(0), 4 * SLICE_PAGES));
		EXPECT_EQ(ledger_slack(l), 8 * SLICE_PAGES) << "that of unit 1, and slice 31";
		check();
		give_slices(0, 5);
		give_slices(12, 19);
		give_slices(SLICES, 4);
		give_slices(SLICES + 11, 21);
		EXPECT_EQ(ledger_return(l, SIZE_MAX), 2u);
	}
}

TEST_F(LedgerGiveBack, ThoseWithTheMostSlackFirst)
{
	for (size_t i = 0; i < 16; i++)
		leave(i, 1, 1 + i * 5 % 16);
	for (size_t free = 16; free > 0; free--) {
		EXPECT_EQ(ledger_worst_slack(l), free * SLICE_PAGES);
		EXPECT_EQ(ledger_demote(l, 1, 1), free * SLICE_PAGES);
	}
	EXPECT_EQ(ledger_worst_slack(l), 0u);
	check();
}

// ---- many threads, contents checked ----

TEST_F(LedgerGiveBack, DemotesAndHealsWhileOthersTakeAndGive)
{
	constexpr size_t THREADS = 3, UNITS = 9;
	std::atomic<size_t> running{THREADS};
	std::vector<std::thread> threads;
	std::atomic<size_t> demoted{0}, healed{0}; // takers go on until both have happened
	heal_walk walk = {};
	TRACE_SEED();

	ledger_count = 1;
	// Thread t has slices t, t + THREADS, ... so that all of them work in every unit.
	for (size_t t = 0; t < THREADS; t++)
		threads.emplace_back([&, t] {
			Random random(400 + t);
			std::vector<char> held(UNITS * SLICES);

			for (size_t i = 0; i < test::effort(20000) || demoted < 20 || !healed;
			     i++) {
				size_t s = random.below(UNITS * SLICES / THREADS) * THREADS + t;

				if (held[s]) {
					EXPECT_TRUE(holds(slice(s), SLICE_PAGES, held[s]));
					give_slices(s, 1);
					held[s] = 0;
				} else if (random.below(10000) < (i / 512 % 2 ? 3000 : 9000)) {
					ASSERT_EQ(ledger_take(l, slice(s), slice_bytes()), 0);
					fake.own(slice(s), slice_bytes());
					held[s] = char(random.between(1, 100));
					write(slice(s), SLICE_PAGES, held[s]);
				}
			}
			for (size_t s = 0; s < held.size(); s++)
				if (held[s]) {
					EXPECT_TRUE(holds(slice(s), SLICE_PAGES, held[s]));
					give_slices(s, 1);
				}
			running--;
		});
	for (Random random(500); running;) {
		heal_limits limits = {200, 512, 16};

		demoted += ledger_demote(l, unsigned(random.below(300)), 1) > 0;
		if (random.one_in(4))
			healed += ledger_heal(l, &walk, &limits) == HEAL_DONE;
		if (random.one_in(8))
			ledger_return(l, 1);
		if (random.one_in(16))
			fake.khugepaged();
		if (random.one_in(16))
			ledger_unpin(l);
	}
	for (std::thread &thread : threads)
		thread.join();
	ledger_return(l, SIZE_MAX);
	check();
	EXPECT_EQ(l->demoted, 0u);
	EXPECT_EQ(backed(), 0u);
	EXPECT_EQ(stats.small_used, 0u);
}

} // namespace
