// The ledger against a plain bitmap of slices, alone and with many threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "fake_kernel.h"
#include "pace.h"
#include "random.h"

extern "C" {
#include "pmd/demand.h"
#include "pmd/ledger.h"
#include "report/stats.h"
}

namespace
{

using test::Random;

enum { SLICES = 32 }; // in a unit

// A ledger, and what it should think.
class Ledger : public testing::Test
{
      protected:
	explicit Ledger(size_t units = 64, size_t page = 4096, size_t unit = 2u << 20)
	    : fake(page, unit), units(units), taken(units * SLICES), stamps(units * SLICES)
	{
		EXPECT_EQ(ledger_open(&ledger, &fake::ANY_ZONE, nullptr, units * machine.unit, machine.unit,
		                      machine.unit),
		          0);
		zones_prove();
	}
	size_t slice() const
	{
		return machine.unit / SLICES;
	}
	char *at(size_t index) const
	{
		return ledger.zone.data.base + index * slice();
	}
	char *unit(size_t index) const
	{
		return at(index * SLICES);
	}
	void stamp(size_t index)
	{
		uint64_t *p = reinterpret_cast<uint64_t *>(at(index));

		stamps[index] = Random::mix(++clock);
		p[0] = p[slice() / sizeof(*p) - 1] = stamps[index];
	}
	void check_stamp(size_t index) const
	{
		const uint64_t *p = reinterpret_cast<uint64_t *>(at(index));

		ASSERT_EQ(p[0], stamps[index]) << "slice " << index << " lost its contents";
		ASSERT_EQ(p[slice() / sizeof(*p) - 1], stamps[index]) << "slice " << index;
	}
	// Take slices [from, from + n), some of which may be taken already.
	int take(size_t from, size_t n)
	{
		int error = ledger_take(&ledger, at(from), n * slice());

		for (size_t i = from; !error && i < from + n; i++)
			if (!taken[i]) {
				taken[i] = true;
				fake.own(at(i), slice());
				stamp(i);
			}
		return error;
	}
	void give(size_t from, size_t n)
	{
		for (size_t i = from; i < from + n; i++)
			if (taken[i]) {
				check_stamp(i);
				taken[i] = false;
				fake.disown(at(i), slice());
			}
		ledger_give(&ledger, at(from), n * slice());
	}
	size_t taken_slices() const
	{
		return size_t(std::count(taken.begin(), taken.end(), true));
	}
	void check()
	{
		ASSERT_TRUE(ledger_consistent(&ledger));
		ASSERT_EQ(ledger_kept(&ledger), fake.kept_units());
		ASSERT_EQ(demand_now(), fake.used_units());
	}
	void check_all()
	{
		check();
		ASSERT_EQ(stats.small_used, taken_slices() * slice());
		for (size_t i = 0; i < taken.size(); i++)
			if (taken[i])
				check_stamp(i);
	}
	uint64_t &word(size_t unit)
	{
		return reinterpret_cast<uint64_t *>(ledger.words.base)[unit];
	}

	fake::Kernel fake;
	struct ledger ledger = {};
	size_t units;
	std::vector<bool> taken;
	std::vector<uint64_t> stamps;
	uint64_t clock = 0;
};

TEST_F(Ledger, BeginsEmpty)
{
	EXPECT_TRUE(ledger_consistent(&ledger));
	EXPECT_EQ(ledger_kept(&ledger), 0u);
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 0u);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 0u);
}

TEST_F(Ledger, TakesAndKeeps)
{
	ASSERT_EQ(take(0, 3), 0);
	check_all();
	EXPECT_EQ(demand_now(), 1u);
	give(0, 2);
	check_all();
	EXPECT_EQ(ledger_kept(&ledger), 0u) << "one slice is in use";
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 0u);
	give(2, 1);
	check_all();
	EXPECT_EQ(ledger_kept(&ledger), 1u);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 0u) << "a free span costs no system call";
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 1u);
	EXPECT_EQ(ledger_kept(&ledger), 0u);
	EXPECT_EQ(stats.returned_units, 1u);
	EXPECT_EQ(stats.return_calls, 1u);
	check_all();
	ASSERT_EQ(take(5, 1), 0);
	EXPECT_EQ(at(0)[0], 0) << "what was returned reads zero";
	check_all();
}

TEST_F(Ledger, TakenAgainBeforeItWasReturned)
{
	ASSERT_EQ(take(SLICES, SLICES), 0);
	give(SLICES, SLICES);
	EXPECT_EQ(ledger_kept(&ledger), 1u);
	ASSERT_EQ(take(SLICES + 7, 1), 0);
	EXPECT_EQ(ledger_kept(&ledger), 0u);
	check_all();
}

TEST_F(Ledger, SpansOfManyUnits)
{
	ASSERT_EQ(take(20, 100), 0);
	EXPECT_EQ(demand_now(), 4u);
	check_all();
	give(30, 80);
	EXPECT_EQ(ledger_kept(&ledger), 2u) << "units 1 and 2";
	EXPECT_EQ(demand_now(), 2u);
	check_all();
}

TEST_F(Ledger, TakesAreRoundedOutwardsAndGivesInwards)
{
	ASSERT_EQ(ledger_take(&ledger, at(1) + 100, slice()), 0);
	EXPECT_EQ(stats.small_used, 2 * slice()) << "slices 1 and 2";
	ledger_give(&ledger, at(1) + 1, 2 * slice() - 2);
	EXPECT_EQ(stats.small_used, 2 * slice()) << "no whole slice in it";
	ledger_give(&ledger, at(1) + 1, slice() / 2);
	EXPECT_EQ(stats.small_used, 2 * slice());
	ledger_give(&ledger, at(1) + 1, 2 * slice() - 1);
	EXPECT_EQ(stats.small_used, slice()) << "slice 2";
	ledger_give(&ledger, at(1), slice());
	EXPECT_EQ(stats.small_used, 0u);
	EXPECT_EQ(ledger_kept(&ledger), 1u);
	EXPECT_TRUE(ledger_consistent(&ledger));
}

TEST_F(Ledger, EveryPieceOfTwoUnits)
{
	for (size_t from = 0; from < 2 * SLICES; from++)
		for (size_t n = 1; from + n <= 2 * SLICES; n++) {
			ASSERT_EQ(ledger_take(&ledger, at(from), n * slice()), 0);
			ASSERT_EQ(stats.small_used, n * slice()) << from << "+" << n;
			ledger_give(&ledger, at(from), n * slice());
			ASSERT_EQ(stats.small_used, 0u) << from << "+" << n;
			ASSERT_TRUE(ledger_consistent(&ledger));
		}
	EXPECT_EQ(demand_now(), 0u);
}

TEST_F(Ledger, NeighboursGoInOneCallFromTheTopDown)
{
	for (size_t i : {0, 1, 2, 4, 5, 7})
		ASSERT_EQ(take(i * SLICES, SLICES), 0);
	ASSERT_EQ(take(3 * SLICES, 1), 0);
	for (size_t i : {0, 1, 2, 4, 5, 7})
		give(i * SLICES, SLICES);
	EXPECT_EQ(ledger_kept(&ledger), 6u);
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 6u);
	std::vector<fake::Event> events = fake.events(fake::GIVE_BACK);
	ASSERT_EQ(events.size(), 3u);
	EXPECT_EQ(events[0].addr, unit(7));
	EXPECT_EQ(events[1].addr, unit(4));
	EXPECT_EQ(events[1].bytes, 2 * machine.unit);
	EXPECT_EQ(events[2].addr, unit(0));
	EXPECT_EQ(events[2].bytes, 3 * machine.unit);
	check_all();
}

TEST_F(Ledger, ReturnsNoMoreThanAsked)
{
	ASSERT_EQ(take(0, 10 * SLICES), 0);
	give(0, 10 * SLICES);
	EXPECT_EQ(ledger_return(&ledger, 0), 0u);
	EXPECT_EQ(ledger_return(&ledger, 3), 3u);
	EXPECT_EQ(ledger_kept(&ledger), 7u);
	EXPECT_EQ(ledger_return(&ledger, 100), 7u);
	EXPECT_EQ(ledger_return(&ledger, 100), 0u);
	check_all();
}

// mimalloc frees a whole segment, of which it used a part.
TEST_F(Ledger, GivesBeyondWhatWasEverTaken)
{
	ASSERT_EQ(take(0, 5), 0);
	give(0, units * SLICES);
	EXPECT_EQ(ledger_kept(&ledger), 1u);
	give(0, units * SLICES);
	EXPECT_EQ(ledger_kept(&ledger), 1u) << "giving twice changes nothing";
	check_all();
	EXPECT_EQ(demand_now(), 0u);
}

TEST_F(Ledger, RefusedReturnsAreTriedAgain)
{
	ASSERT_EQ(take(0, 4 * SLICES), 0);
	give(0, 4 * SLICES);
	fake.fail(fake::GIVE_BACK);
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 0u);
	EXPECT_EQ(stats.return_failures, 1u);
	EXPECT_EQ(ledger_kept(&ledger), 4u);
	check_all();
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 4u);
	check_all();
}

TEST_F(Ledger, RefusedMemoryIsNotNoted)
{
	for (fake::Call call : {fake::MAKE_USABLE, fake::ANY})
		for (size_t nth : {1, 2, 3, 4}) {
			fake.fail(call, nth, ENOMEM, 2); // and when it asks for less
			int error = take(SLICES * nth, 1);
			ASSERT_TRUE(error == 0 || error == ENOMEM);
			fake.fail_nothing();
			check_all();
			ASSERT_EQ(take(SLICES * nth, 1), 0);
			give(SLICES * nth, 1);
			check_all();
		}
	EXPECT_EQ(ledger_take(&ledger, unit(units - 1), machine.unit + 1), ENOMEM)
		<< "no such unit";
	check_all();
}

TEST(LedgerOpen, EachCallFailingInTurn)
{
	size_t nth = 0;

	for (bool more = true; more;) {
		fake::Kernel fake;
		ledger l = {};

		fake.fail(fake::ANY, ++nth);
		int error = ledger_open(&l, &fake::ANY_ZONE, nullptr, 8 * machine.unit, 8 * machine.unit,
		                        machine.unit);
		more = fake.failed();
		fake.fail_nothing();
		if (error) {
			EXPECT_EQ(error, ENOMEM);
			EXPECT_EQ(zones_first(), nullptr) << "a zone that is not there";
			ASSERT_EQ(ledger_open(&l, &fake::ANY_ZONE, nullptr, 8 * machine.unit,
			                      8 * machine.unit, machine.unit),
			          0);
		}
		ASSERT_EQ(zones_first(), &l.zone);
		ASSERT_EQ(l.zone.next, nullptr);
		EXPECT_EQ(stats.zones, 1u);
		ASSERT_EQ(ledger_take(&l, l.zone.data.base, machine.unit), 0);
		l.zone.data.base[machine.unit - 1] = 1;
		ledger_give(&l, l.zone.data.base, machine.unit);
		EXPECT_EQ(ledger_return(&l, 8), 1u);
	}
	EXPECT_GT(nth, 4u);
}

// While a return is under way, nobody takes the unit, and others may.
TEST_F(Ledger, OthersGoOnDuringAReturn)
{
	ASSERT_EQ(take(0, 4 * SLICES), 0);
	give(SLICES, 2 * SLICES);
	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::GIVE_BACK)
			return;
		fake.during = nullptr;
		EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 0u) << "it is on its way already";
		ASSERT_EQ(take(10 * SLICES, 1), 0);
		give(0, 1);
		ASSERT_EQ(take(0, 1), 0);
	};
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 2u);
	check_all();
}

TEST_F(Ledger, ATakerWaitsForTheReturn)
{
	std::atomic<bool> returned{false};
	std::thread taker;

	ASSERT_EQ(take(0, SLICES), 0);
	give(0, SLICES);
	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::GIVE_BACK)
			return;
		fake.during = nullptr;
		taker = std::thread([&] {
			EXPECT_EQ(ledger_take(&ledger, at(3), slice()), 0);
			EXPECT_TRUE(returned.load()) << "did not wait";
			at(3)[0] = 77;
		});
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		returned = true;
	};
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 1u);
	taker.join();
	EXPECT_EQ(at(3)[0], 77);
	EXPECT_TRUE(ledger_consistent(&ledger));
	EXPECT_EQ(ledger_kept(&ledger), 0u);
}

// ---- demotion and healing ----

TEST_F(Ledger, DemotesAndHeals)
{
	heal_walk walk = {};
	heal_limits limits = {256, 512, 64};

	ASSERT_EQ(take(0, 2 * SLICES), 0);
	give(4, 28);
	EXPECT_EQ(ledger_slack(&ledger), 28u * 16);
	EXPECT_EQ(ledger_demote(&ledger, 28 * 16 + 1, SIZE_MAX), 0u);
	EXPECT_EQ(ledger_demote(&ledger, 100, SIZE_MAX), 28u * 16);
	EXPECT_EQ(fake.splits(), 1u);
	EXPECT_EQ(ledger.demoted, 1u);
	EXPECT_EQ(ledger_slack(&ledger), 0u);
	EXPECT_EQ(ledger_demote(&ledger, 1, SIZE_MAX), 0u) << "there is no more";
	EXPECT_EQ(fake.khugepaged(), 0u);
	check_all();
	ASSERT_EQ(take(4, 6), 0);
	give(8, 2);
	EXPECT_EQ(ledger_slack(&ledger), 2u * 16) << "what was taken again is backed";
	EXPECT_EQ(ledger_heal(&ledger, &walk, &limits), HEAL_NONE) << "not full enough";
	ASSERT_EQ(take(8, 14), 0);
	EXPECT_EQ(ledger_heal(&ledger, &walk, &limits), HEAL_NONE)
		<< "taken, but hardly a page of it is resident";
	for (size_t i = 4; i < 22; i++)
		memset(at(i) + 8, 1, slice() - 16);
	EXPECT_EQ(ledger_heal(&ledger, &walk, &limits), HEAL_DONE);
	EXPECT_TRUE(fake.huge(unit(0)));
	EXPECT_EQ(ledger.demoted, 0u);
	EXPECT_EQ(fake.advice(unit(0)), fake::HUGE_PAGES);
	check_all();
	EXPECT_EQ(fake.deferred_splits() + fake.split_pmds(), 0u);
}

TEST_F(Ledger, ADemotedUnitThatEmptiesIsHugeAgain)
{
	ASSERT_EQ(take(0, SLICES), 0);
	give(1, 31);
	EXPECT_GT(ledger_demote(&ledger, 100, SIZE_MAX), 0u);
	give(0, 1);
	EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 1u);
	EXPECT_EQ(ledger.demoted, 0u);
	EXPECT_EQ(fake.advice(unit(0)), fake::HUGE_PAGES);
	ASSERT_EQ(take(0, SLICES), 0);
	EXPECT_TRUE(fake.huge(unit(0)));
	check_all();
}

TEST_F(Ledger, DemotionWithEachCallFailing)
{
	for (fake::Call call : {fake::EXCLUSIVE, fake::ADVISE_BASE, fake::SPLIT, fake::SURVEY,
	                        fake::GIVE_BACK, fake::ANY}) {
		ASSERT_EQ(take(0, SLICES), 0);
		give(1, 31);
		fake.fail_always(call, EINVAL);
		ledger_demote(&ledger, 100, SIZE_MAX);
		fake.fail_nothing();
		check_all();
		give(0, 1);
		EXPECT_EQ(ledger_return(&ledger, SIZE_MAX), 1u);
		EXPECT_EQ(ledger.demoted, 0u);
	}
	EXPECT_EQ(fake.deferred_splits(), 0u);
}

// ---- random ----

struct Shape {
	size_t page, unit, units;
};

class LedgerRandom : public Ledger, public testing::WithParamInterface<Shape>
{
      protected:
	LedgerRandom() : Ledger(GetParam().units, GetParam().page, GetParam().unit)
	{
	}
	void surgery(Random &random)
	{
		heal_limits limits = {unsigned(random.between(4, 64)), random.between(300, 512), 8};

		if (random.one_in(2))
			demoted += ledger_demote(&ledger, unsigned(random.below(300)),
			                         random.spread(4096)) > 0;
		else
			healed += ledger_heal(&ledger, &walk, &limits) == HEAL_DONE;
		if (random.one_in(8))
			fake.khugepaged();
	}
	void step(Random &random)
	{
		size_t from = random.below(taken.size());
		size_t n = std::min<size_t>(random.spread(4 * SLICES), taken.size() - from);

		switch (random.below(16)) {
		case 0:
			if (random.one_in(2))
				ledger_return(&ledger, random.spread(units));
			else
				surgery(random);
			break;
		case 1 ... 7:
			ASSERT_EQ(take(from, n), 0);
			break;
		default:
			give(from, n);
		}
	}

	heal_walk walk = {};
	size_t demoted = 0, healed = 0;
};

INSTANTIATE_TEST_SUITE_P(Machines, LedgerRandom,
                         testing::Values(Shape{4096, 2u << 20, 64}, Shape{4096, 2u << 20, 3},
                                         Shape{16384, 32u << 20, 16}, Shape{65536, 32u << 20, 16}),
                         [](const testing::TestParamInfo<Shape> &info) {
				 return std::to_string(info.param.page >> 10) + "K" +
	                                std::to_string(info.param.units) + "units";
			 });

TEST_P(LedgerRandom, AgainstABitmap)
{
	TRACE_SEED();
	Random random(3);

	for (size_t i = 0; i < test::effort(100000); i++) {
		step(random);
		if (HasFatalFailure())
			FAIL() << "step " << i;
		ASSERT_NO_FATAL_FAILURE(check()) << "step " << i;
		if (i % 1024 == 0) {
			ASSERT_NO_FATAL_FAILURE(check_all()) << "step " << i;
		}
		if (i % 4096 == 0)
			fake.forget_events();
	}
	if (test::full_effort()) {
		EXPECT_GT(demoted, 0u);
		EXPECT_GT(healed, 0u);
	}
	give(0, taken.size());
	while (ledger_return(&ledger, 5))
		;
	EXPECT_EQ(ledger.demoted, 0u);
	EXPECT_EQ(ledger_slack(&ledger), 0u);
	EXPECT_LE(fake.vmas(ledger.zone.data.base), 2u) << "VMAs have merged";
	EXPECT_EQ(fake.deferred_splits(), 0u);
	EXPECT_EQ(ledger_kept(&ledger), 0u);
	EXPECT_EQ(demand_now(), 0u);
	EXPECT_EQ(kernel->resident(ledger.zone.data.base, ledger.zone.data.ready), 0u);
	EXPECT_EQ(fake.split_pmds(), 0u);
}

TEST_P(LedgerRandom, WithCallsThatFail)
{
	TRACE_SEED();
	Random random(4);
	size_t failures = 0;

	for (size_t i = 0; i < test::effort(50000); i++) {
		if (random.one_in(8))
			fake.fail(fake::ANY, random.between(1, 3), ENOMEM, random.between(1, 3));
		size_t from = random.below(taken.size());
		size_t n = std::min<size_t>(random.spread(64), taken.size() - from);
		if (random.one_in(8))
			surgery(random);
		else if (random.one_in(4))
			ledger_return(&ledger, random.spread(units));
		else if (random.one_in(2))
			failures += take(from, n) != 0;
		else
			give(from, n);
		ASSERT_NO_FATAL_FAILURE(check()) << "step " << i;
	}
	fake.fail_nothing();
	EXPECT_GT(failures + stats.return_failures, 0u) << "nothing was tested";
	check_all();
	give(0, taken.size());
	ledger_return(&ledger, SIZE_MAX);
	EXPECT_EQ(ledger_kept(&ledger), 0u);
	EXPECT_EQ(kernel->resident(ledger.zone.data.base, ledger.zone.data.ready), 0u);
}

// ---- threads ----

// Neighbouring slices belong to different threads, so that units are shared by all.
class LedgerThreads : public Ledger
{
      protected:
	static constexpr size_t THREADS = 4;

	LedgerThreads() : Ledger(16), mine(16 * SLICES)
	{
	}
	void use(size_t index, uint64_t value)
	{
		uint64_t *p = reinterpret_cast<uint64_t *>(at(index));

		if (mine[index]) {
			EXPECT_EQ(p[0], mine[index]) << "slice " << index << " lost its contents";
			EXPECT_EQ(p[slice() / sizeof(*p) - 1], mine[index]);
			mine[index] = 0;
			fake.disown(at(index), slice());
			ledger_give(&ledger, at(index), slice());
		} else {
			ASSERT_EQ(ledger_take(&ledger, at(index), slice()), 0);
			fake.own(at(index), slice());
			mine[index] = p[0] = p[slice() / sizeof(*p) - 1] = value;
		}
	}
	// Hold few slices at a time, so that units become free often.
	void work(size_t thread)
	{
		constexpr size_t HELD = 3;
		Random random(100 + thread);
		std::deque<size_t> held;

		for (size_t i = 0; i < test::effort(100000) || !seen_all; i++) {
			size_t unit = (i / 64 + random.below(4)) % units;
			size_t index =
				unit * SLICES + random.below(SLICES / THREADS) * THREADS + thread;

			if (!mine[index])
				held.push_back(index);
			else
				held.erase(std::find(held.begin(), held.end(), index));
			use(index, random.next() | 1);
			if (held.size() > HELD) {
				use(held.front(), 0);
				held.pop_front();
			}
			pace.work_done();
		}
		for (size_t index : held)
			use(index, 0);
	}

	std::atomic<bool> seen_all{false}; // what the keeper is there to do
	test::Pace pace;
	std::vector<uint64_t> mine; // each word touched by one thread only
};

TEST_F(LedgerThreads, TakeGiveAndReturnAtOnce)
{
	TRACE_SEED();
	std::vector<std::thread> threads;
	std::atomic<bool> stop{false};
	size_t returned = 0, demoted = 0; // workers go on until both have happened
	heal_walk walk = {};
	const heal_limits limits = {200, 512, 8};

	for (size_t t = 0; t < THREADS; t++)
		threads.emplace_back([this, t] { work(t); });
	std::thread keeper([&] {
		Random random(99);

		while (!stop) {
			EXPECT_LE(ledger_kept(&ledger), units);
			if (random.one_in(4))
				demoted += ledger_demote(&ledger, 100, 1000) > 0;
			else if (random.one_in(4))
				ledger_heal(&ledger, &walk, &limits);
			else
				returned += ledger_return(&ledger, random.spread(8));
			seen_all = returned > 100 && demoted > 10;
			pace.wait_for_work();
		}
	});
	for (std::thread &thread : threads)
		thread.join();
	stop = true;
	pace.work_done();
	keeper.join();
	check();
	EXPECT_EQ(demand_now(), 0u);
	EXPECT_EQ(stats.small_used, 0u);
	ledger_return(&ledger, SIZE_MAX);
	EXPECT_EQ(ledger_kept(&ledger), 0u);
	EXPECT_EQ(kernel->resident(ledger.zone.data.base, ledger.zone.data.ready), 0u);
	EXPECT_EQ(fake.deferred_splits() + fake.split_pmds(), 0u);
}

// ---- the invariants can fail ----

class LedgerBroken : public Ledger
{
      protected:
	void SetUp() override
	{
		ASSERT_EQ(take(0, 3 * SLICES), 0);
		give(SLICES, SLICES);
		ASSERT_TRUE(ledger_consistent(&ledger));
	}
};

TEST_F(LedgerBroken, Busy)
{
	word(1) |= LEDGER_BUSY;
	EXPECT_FALSE(ledger_consistent(&ledger));
}

TEST_F(LedgerBroken, UsedButNotDirty)
{
	word(0) &= ~LEDGER_DIRTY;
	EXPECT_FALSE(ledger_consistent(&ledger));
}

TEST_F(LedgerBroken, Kept)
{
	ledger.kept++;
	EXPECT_FALSE(ledger_consistent(&ledger));
}

TEST_F(LedgerBroken, KeptInTheWords)
{
	word(1) = 0;
	EXPECT_FALSE(ledger_consistent(&ledger));
}

TEST_F(LedgerBroken, Top)
{
	ledger.top = units + 1;
	EXPECT_FALSE(ledger_consistent(&ledger));
}

} // namespace
