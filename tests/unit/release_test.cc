// The policy as a whole: who works and when, which units are filled, every call refused in turn,
// and a model of what must be there.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "pace.h"
#include "random.h"
#include "release_fixture.h"

namespace
{

using fake::INSIDE;
using fake::MIB_PAGES;
using fake::MS;
using fake::SECOND;
using fake::SLICE_PAGES;
using fake::SLICES;
using test::Random;

class Policy : public testing::Test, public fake::Release
{
};

// ---- sums ----

TEST_F(Policy, SumsAreOfAllParts)
{
	char *p = take_units(3);

	leave_slack({112});
	take_slices(0, 2 * SLICES, 0);
	take_slices(0, 3 * SLICES, 1);
	give_slices(0, SLICES, 0);
	give_slices(0, 2 * SLICES, 1);
	give_slices(2 * SLICES, 10, 1);
	drop(p);
	EXPECT_EQ(release_kept_units(), 3u + 1 + 2);
	EXPECT_EQ(release_slack_pages(), 400 + 10 * SLICE_PAGES);
	EXPECT_EQ(release_used_pages(), 112 + (32 + 22) * SLICE_PAGES);
	check();
}

// ---- which units are filled ----

class FillOrder : public Policy
{
      protected:
	// Unit 0 is huge, 1 dense, 2 sparse, each with 100 free pages at least; 3 is kept, and
	// behind it are `whole` more.
	void lay_out(size_t whole)
	{
		auto kept = leave_slack({412, 300, 100});
		char *spare = take_units(1);
		if (whole)
			take_units(whole);
		EXPECT_EQ(filler_demote(f(), 8), 412u);
		EXPECT_EQ(filler_demote(f(), 8), 212u);
		drop(spare);
		ASSERT_TRUE(fake.huge(unit(0)));
		ASSERT_FALSE(fake.huge(unit(1)));
		ASSERT_EQ(about(3)->state, UNIT_KEPT);
	}
	size_t unit_of(const char *p)
	{
		return size_t(p - unit(0)) / machine.unit;
	}
};

TEST_F(FillOrder, HugeThenDenseThenFreeThenSparse)
{
	lay_out(20); // 3 % of what is used is more than what lies in unit 2
	EXPECT_EQ(unit_of(take(100)), 0u);
	EXPECT_EQ(unit_of(take(100)), 1u);
	EXPECT_EQ(unit_of(take(112)), 1u);
	EXPECT_EQ(unit_of(take(412, INSIDE)), 3u);
	EXPECT_EQ(unit_of(take(100)), 3u);
	EXPECT_GT(unit_of(take(400, INSIDE)), 3u) << "a fresh one";
	EXPECT_TRUE(consistent());
}

TEST_F(FillOrder, SparseOnesBeforeFreeOnesIfMuchLiesInThem)
{
	lay_out(0);
	EXPECT_EQ(unit_of(take(100)), 0u);
	EXPECT_EQ(unit_of(take(100)), 1u);
	EXPECT_EQ(unit_of(take(112)), 1u);
	EXPECT_EQ(unit_of(take(100)), 2u);
	EXPECT_EQ(unit_of(take(312)), 2u);
	EXPECT_EQ(unit_of(take(100)), 3u);
}

TEST_F(FillOrder, TheShareIsMeasuredAgainstAllThatIsUsed)
{
	constexpr size_t SPARSE = 100, OTHERS = 412 + 300 + SPARSE;

	for (unsigned percent : {0, 1, 3, 10, 100}) {
		filler->sparse_percent = percent;
		if (!filler->zones[0].top)
			lay_out(6);
		size_t used = OTHERS + 6 * UNIT_PAGES;
		char *p = take(300, INSIDE);
		bool sparse = SPARSE > used / 100 * percent;
		EXPECT_EQ(unit_of(p), sparse ? 2u : 3u) << percent;
		drop(p);
	}
}

TEST_F(FillOrder, SparseOnesAsALastResort)
{
	lay_out(0);
	filler->sparse_percent = 100;
	char *rest = take((filler->zones[0].zone.units - 4) * UNIT_PAGES, UNIT_PAGES);
	ASSERT_NE(rest, nullptr);
	take(UNIT_PAGES, UNIT_PAGES);
	take(100);
	take(212);
	EXPECT_EQ(unit_of(take(100)), 2u);
}

// ---- from slow paths ----

TEST_F(Policy, MostCallsOnlyCount)
{
	options.background = BACKGROUND_OFF;
	drop(take_units(20));
	tick();
	fake.advance(10 * delay);
	for (int i = 0; i < 15; i++)
		release_tick();
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 0u);
	release_tick();
	EXPECT_EQ(stats.returned_units, size_t(RELEASE_BATCH));
}

TEST_F(Policy, ACallerReturnsABatchAtMost)
{
	for (unsigned background : {BACKGROUND_OFF, BACKGROUND_AUTO}) {
		options.background = background;
		char *p = take_units(30);
		take_slices(0, 30 * SLICES);
		drop(p);
		give_slices(0, 30 * SLICES);
		tick(); // it may all have been in use until now
		uint64_t before = stats.returned_units;
		fake.advance(2 * delay);
		for (size_t i = 1; release_kept_units(); i++) {
			tick();
			EXPECT_LE(stats.returned_units - before, i * RELEASE_BATCH);
			ASSERT_LT(i, 20u);
		}
		EXPECT_EQ(stats.returned_units - before, 60u);
		check();
	}
}

TEST_F(Policy, ACallerDemotesOneAtATimeAndOnlyWithoutAKeeper)
{
	leave_slack(60, 100);
	for (int i = 0; i < 10; i++) {
		fake.advance(delay);
		tick();
	}
	EXPECT_EQ(stats.demoted_units, 0u) << "the keeper will";
	EXPECT_TRUE(release_wants_keeper());
	options.background = BACKGROUND_OFF;
	fake.advance(delay);
	tick();
	fake.advance(delay);
	for (uint64_t i = 1; i < 40; i++) {
		tick();
		EXPECT_EQ(stats.demoted_units, i);
	}
	fake.advance(4 * delay);
	for (int i = 0; i < 60; i++)
		tick();
	EXPECT_LE(release_slack_pages(), 8 * MIB_PAGES);
	check();
}

TEST_F(Policy, LittleIsNotWorthAThread)
{
	char *p = take_units(15);

	drop(p);
	leave_slack(10, 100);
	tick();
	EXPECT_FALSE(release_wants_keeper());
	drop(take_units(20));
	tick();
	EXPECT_TRUE(release_wants_keeper());
	step();
	EXPECT_FALSE(release_wants_keeper()) << "it is there";
}

TEST_F(Policy, NobodyIsAskedToStartWhatIsTurnedOff)
{
	options.background = BACKGROUND_OFF;
	drop(take_units(100));
	release_note_fork();
	tick();
	EXPECT_FALSE(release_wants_keeper());
}

TEST_F(Policy, PausesAreNoted)
{
	options.background = BACKGROUND_OFF;
	drop(take_units(20));
	tick();
	fake.advance(10 * delay);
	fake.during = [&](const fake::Event &event) {
		if (event.call == fake::GIVE_BACK)
			fake.advance(70000);
	};
	tick();
	EXPECT_EQ(stats.longest_pause_ns, 70000u);
	EXPECT_GE(stats.release_ns, 70000u);
}

// ---- one at a time ----

TEST_F(Policy, WhileOneWorksOthersPassBy)
{
	uint64_t wait = 0;

	options.background = BACKGROUND_OFF;
	drop(take_units(20));
	run(delay / 2);
	fake.short_of_memory = true;
	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::GIVE_BACK)
			return;
		fake.during = nullptr;
		wait = release_step(fake.clock);
		tick();
		EXPECT_EQ(fake.count(fake::GIVE_BACK), 0u);
	};
	step();
	EXPECT_EQ(wait, MS) << "soon again";
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 1u);
	check();
}

TEST_F(Policy, WhoWantsAllBackWaitsForIt)
{
	std::thread other;
	std::atomic<bool> done{false};
	std::atomic<size_t> returned{0};

	drop(take_units(100));
	fake.short_of_memory = true;
	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::GIVE_BACK)
			return;
		fake.during = nullptr;
		other = std::thread([&] {
			returned = release_all();
			done = true;
		});
		std::this_thread::yield();
		EXPECT_FALSE(done);
	};
	step();
	other.join();
	EXPECT_EQ(filler_kept(f()), 0u);
	EXPECT_EQ(stats.returned_units, 100u);
	EXPECT_EQ(returned, 100u - 64) << "what a step of the keeper left";
	check();
}

TEST_F(Policy, AllMeansWholeUnits)
{
	auto kept = leave_slack(3, 100);
	char *p = take_units(5);

	take_slices(0, 4 * SLICES);
	give_slices(0, 3 * SLICES + 10);
	drop(p);
	EXPECT_EQ(release_all(), 8u);
	EXPECT_EQ(fake.splits(), 0u);
	EXPECT_EQ(release_all(), 0u);
	check();
}

TEST_F(Policy, EverythingMeansFreePagesToo)
{
	auto kept = leave_slack(30, 100);
	char *p = take_units(5);

	take_slices(0, 4 * SLICES);
	write_slices(0, 4 * SLICES);
	give_slices(0, 3 * SLICES + 10);
	drop(p);
	EXPECT_EQ(release_everything(),
	          8 * machine.unit + (30 * 412 + 10 * SLICE_PAGES) * machine.grain);
	EXPECT_EQ(release_slack_pages() + release_kept_units(), 0u);
	EXPECT_EQ(backed(), (30 * 100 + 22 * SLICE_PAGES) * machine.grain);
	for (char *each : kept)
		EXPECT_TRUE(holds(each, 100));
	EXPECT_EQ(release_everything(), 0u);
	check();
}

TEST_F(Policy, AChildStartsAfresh)
{
	leave_slack(60, 100);
	step();
	release_note_fork();
	EXPECT_TRUE(release_wants_keeper());
	release_after_fork();
	EXPECT_FALSE(release_wants_keeper());
	EXPECT_FALSE(healing_pending());
	fake.advance(delay);
	step();
	EXPECT_EQ(stats.demoted_units, 0u) << "a delay of its own";
	run(3 * delay);
	EXPECT_GT(stats.demoted_units, 0u);
	check();
}

// ---- a short life, for the tests below ----

// Units that are kept, demoted, healed, emptied; small ones and large ones.
struct Life {
	fake::Release &r;
	std::vector<char *> some;

	void begin()
	{
		some = r.leave_slack({100, 300, 200, 60, 400, 100});
		char *p = r.take_units(10);
		for (size_t i = 0; i < 6; i++) {
			r.take_slices(i * SLICES, SLICES);
			r.write_slices(i * SLICES, SLICES);
		}
		for (size_t i = 0; i < 4; i++)
			r.give_slices(i * SLICES + 2, 5 * i + 10);
		r.give_slices(5 * SLICES, SLICES);
		r.drop(p);
	}
	void check()
	{
		for (size_t i = 0; i < some.size(); i++)
			EXPECT_TRUE(r.holds(some[i], (size_t[]){100, 300, 200, 60, 400, 100}[i]));
		for (size_t i = 0; i < 5; i++) {
			EXPECT_TRUE(r.holds(r.slice(i * SLICES), 2 * SLICE_PAGES));
			EXPECT_TRUE(r.holds(r.slice(i * SLICES + 31), SLICE_PAGES));
		}
	}
	void work()
	{
		options.release = RELEASE_TIGHT;
		r.fake.short_of_memory = true;
		r.run(SECOND);
		release_everything();
		/* Memory is not short any more: healing may cost some again. */
		options.release = RELEASE_BALANCED;
		r.fake.short_of_memory = false;
		healing_ask();
		for (int i = 0; i < 3; i++)
			r.run(10 * SECOND);
	}
	// Nothing is lost: all can be returned, and is huge when it is used again.
	void end()
	{
		for (char *p : some)
			r.drop(p);
		for (size_t i = 0; i < 4; i++) {
			r.give_slices(i * SLICES, 2);
			r.give_slices(i * SLICES + 5 * i + 12, SLICES - 5 * i - 12);
		}
		r.give_slices(4 * SLICES, SLICES);
		release_all();
		EXPECT_EQ(r.backed(), 0u);
		EXPECT_EQ(demand_now() + release_kept_units() + release_slack_pages(), 0u);
		EXPECT_EQ(r.filler->demoted_units + r.ledgers[0].demoted, 0u);
		r.check();
	}
};

TEST_F(Policy, ALife)
{
	Life life = {*this, {}};

	life.begin();
	life.work();
	life.check();
	check();
	EXPECT_GT(stats.demoted_units, 5u);
	EXPECT_GT(stats.returned_units, 10u);
	EXPECT_GT(stats.healed_units, 0u);
	EXPECT_EQ(fake.khugepaged(), 0u);
	life.end();
	EXPECT_LE(fake.vmas(unit(0)), 2u);
	EXPECT_LE(fake.vmas(slice(0)), 2u);
}

TEST(PolicyFailures, EachCallFailingInTurn)
{
	size_t nth = 0;

	for (bool more = true; more && !testing::Test::HasFailure();) {
		fake::Release r(32);
		Life life = {r, {}};

		SCOPED_TRACE("call " + std::to_string(++nth));
		life.begin();
		r.fake.fail(fake::ANY, nth, nth % 2 ? EINVAL : EAGAIN);
		life.work();
		more = r.fake.failed();
		r.fake.fail_nothing();
		life.check();
		r.check();
		life.end();
	}
	EXPECT_GT(nth, 30u);
}

TEST(PolicyFailures, EachKindOfCallAlwaysFailing)
{
	for (int call = 0; call <= fake::ANY; call++) {
		fake::Release r(32);
		Life life = {r, {}};

		SCOPED_TRACE("kind " + std::to_string(call));
		life.begin();
		r.fake.fail_always(fake::Call(call), EAGAIN);
		life.work();
		r.fake.fail_nothing();
		life.check();
		r.check();
		life.end();
	}
}

// In the middle of the nth call, something happens to each unit.
TEST(PolicyMeanwhile, InEachCallInTurn)
{
	size_t nth = 0;

	for (bool more = true; more && !testing::Test::HasFailure();) {
		fake::Release r(64);
		Life life = {r, {}};
		size_t calls = 0;
		bool inside = false;

		SCOPED_TRACE("call " + std::to_string(++nth));
		life.begin();
		more = false;
		r.fake.during = [&](const fake::Event &) {
			if (inside || ++calls != nth)
				return;
			inside = more = true;
			std::vector<char *> mine;
			// Every unit that has room is used, and every unit is freed of something.
			for (size_t pages : {20, 100, 200, 50, 300, 512, 1})
				mine.push_back(r.take_and_write(pages));
			r.fake.disown(life.some[4] + 350 * machine.grain, 50 * machine.grain);
			EXPECT_TRUE(filler_resize(r.f(), life.some[4], 350));
			if (filler_resize(r.f(), life.some[4], 400))
				r.fake.own(life.some[4] + 350 * machine.grain, 50 * machine.grain);
			else {
				mine.push_back(life.some[4]);
				life.some[4] = r.take(400);
			}
			r.write(life.some[4], 400);
			for (char *p : mine)
				r.drop(p);
			r.fake.khugepaged();
			EXPECT_TRUE(filler_consistent(r.f()));
			inside = false;
		};
		life.work();
		r.fake.during = nullptr;
		life.check();
		r.check();
		life.end();
	}
	EXPECT_GT(nth, 30u);
}

// ---- the model ----

// What must be there: of each extent and each slice in use, every page that was written.
class PolicyModel : public testing::TestWithParam<uint64_t>, public fake::Release
{
      protected:
	struct Extent {
		char *p;
		size_t pages;
		uint64_t stamp;
	};

	PolicyModel() : Release(96), random(GetParam()), stamps(UNITS * SLICES)
	{
		options.release = GetParam() % 4 == 3 ? RELEASE_TIGHT : RELEASE_BALANCED;
		options.background = GetParam() % 2 ? BACKGROUND_OFF : BACKGROUND_AUTO;
	}
	uint64_t *word(char *p, size_t page)
	{
		return reinterpret_cast<uint64_t *>(p + (page << machine.grain_shift));
	}
	void stamp(const Extent &e)
	{
		for (size_t i = 0; i < e.pages; i++)
			*word(e.p, i) = e.stamp + i;
	}
	void expect_stamped(const Extent &e)
	{
		for (size_t i = 0; i < e.pages; i++)
			ASSERT_EQ(*word(e.p, i), e.stamp + i) << "page " << i << " of " << e.pages;
	}
	void alloc()
	{
		size_t pages = random.one_in(8) ? random.spread(3000) : random.spread(500);
		filler_request request = {pages, 1ull << random.below(4), 0};
		char *p = static_cast<char *>(filler_alloc(f(), &request, &zero));

		if (!p)
			return;
		fake.own(p, pages << machine.grain_shift);
		for (size_t i = 0; zero && i < pages; i++)
			ASSERT_EQ(*word(p, i), 0u) << "page " << i << " is said to be zero";
		extents.push_back({p, pages, random.next() | 1});
		stamp(extents.back());
	}
	void free_one(size_t i)
	{
		expect_stamped(extents[i]);
		drop(extents[i].p);
		extents[i] = extents.back();
		extents.pop_back();
	}
	void resize(size_t i)
	{
		Extent &e = extents[i];
		size_t pages = random.spread(600), common = std::min(pages, e.pages);

		expect_stamped(e);
		if (pages < e.pages)
			fake.disown(e.p + (pages << machine.grain_shift),
			            (e.pages - pages) << machine.grain_shift);
		if (!filler_resize(f(), e.p, pages))
			return;
		if (pages > e.pages)
			fake.own(e.p + (e.pages << machine.grain_shift),
			         (pages - e.pages) << machine.grain_shift);
		e.pages = common;
		expect_stamped(e);
		e.pages = pages;
		stamp(e);
	}
	void take_or_give(bool take)
	{
		size_t n = random.spread(take ? 64 : 16), from = random.below(UNITS * SLICES - n);

		for (size_t s = from; s < from + n; s++) {
			Extent e = {slice(s), SLICE_PAGES, stamps[s]};

			if (take == (stamps[s] != 0))
				continue;
			if (take) {
				take_slices(s, 1);
				e.stamp = stamps[s] = random.next() | 1;
				stamp(e);
			} else {
				expect_stamped(e);
				give_slices(s, 1);
				stamps[s] = 0;
			}
		}
	}
	void let_time_pass()
	{
		fake.advance(random.spread(2 * delay));
		switch (random.below(16)) {
		case 0:
			fake.short_of_memory = !fake.short_of_memory;
			break;
		case 1:
			release_note_fork();
			break;
		case 2:
			fake.khugepaged();
			break;
		case 3:
			fake.share(unit(random.below(96)), random.one_in(2));
			break;
		case 4:
			release_all();
			break;
		case 5:
			release_everything();
			break;
		case 6 ... 9:
			tick();
			break;
		default:
			step();
		}
	}
	void operate()
	{
		// Demand rises and falls.
		unsigned takes = steps++ >> 8 & 1 ? 25 : 60;

		if (random.one_in(8))
			let_time_pass();
		else if (random.one_in(2))
			take_or_give(random.below(100) < takes);
		else if (extents.empty() || random.below(100) < takes)
			alloc();
		else if (random.one_in(4))
			resize(random.below(extents.size()));
		else
			free_one(random.below(extents.size()));
	}
	void expect_all_stamped()
	{
		for (const Extent &e : extents)
			expect_stamped(e);
		for (size_t s = 0; s < stamps.size(); s++)
			if (stamps[s])
				expect_stamped({slice(s), SLICE_PAGES, stamps[s]});
	}
	// When the program has been idle for long, what is backed is what is used and little more.
	void expect_idle_is_lean()
	{
		fake.short_of_memory = false;
		for (size_t i = 0; i < 96; i++)
			fake.share(unit(i), false);
		run(15 * SECOND);
		EXPECT_EQ(release_kept_units(), 0u);
		EXPECT_LE(backed(),
		          ((release_used_pages() + bound_pages(false)) << 12) + machine.unit);
		EXPECT_EQ(backed(), (release_used_pages() + release_slack_pages() + hidden())
		                            << 12);
	}
	// Slack in pieces too small to be given back is counted; what was used and never written
	// is backed if its unit is huge only.  Here all that is used was written.
	size_t hidden()
	{
		size_t pinned = 0;

		for (size_t i = 0; i < filler->zones[0].top; i++)
			if (about(i)->state == UNIT_PART && about(i)->pinned)
				pinned += resident(unit(i)) - about(i)->used_count;
		return pinned;
	}

	static constexpr size_t UNITS = 24; // of the ledger
	Random random;
	std::vector<Extent> extents;
	std::vector<uint64_t> stamps;
	size_t steps = 0;
};

INSTANTIATE_TEST_SUITE_P(Streams, PolicyModel, testing::Range(uint64_t(0), uint64_t(6)));

TEST_P(PolicyModel, NothingIsLostAndNothingIsHeld)
{
	TRACE_SEED();
	for (size_t i = 0; i < test::effort(4000); i++) {
		ASSERT_NO_FATAL_FAILURE(operate()) << "step " << i;
		ASSERT_NO_FATAL_FAILURE(check()) << "step " << i;
		ASSERT_FALSE(HasNonfatalFailure()) << "step " << i;
		if (i % 1000 == 999) {
			expect_all_stamped();
			expect_idle_is_lean();
			ASSERT_FALSE(HasFailure()) << "step " << i;
			fake.forget_events();
		}
	}
	expect_all_stamped();
	while (!extents.empty())
		free_one(extents.size() - 1);
	for (size_t s = 0; s < stamps.size(); s++)
		if (stamps[s])
			give_slices(s, 1);
	run(15 * SECOND);
	EXPECT_EQ(backed(), 0u);
	EXPECT_EQ(filler->demoted_units + ledgers[0].demoted, 0u);
	EXPECT_EQ(release_used_pages(), 0u);
	EXPECT_LE(fake.vmas(unit(0)), 2u);
	EXPECT_LE(fake.vmas(slice(0)), 2u);
	check();
}

// The same with threads: while some take and free, one works, and another wants all back.
TEST_F(Policy, ThreadsAndTheKeeperAtOnce)
{
	constexpr size_t THREADS = 2;
	std::vector<std::thread> threads;
	std::atomic<size_t> running{THREADS};
	test::Pace pace;
	TRACE_SEED();

	options.release = RELEASE_TIGHT;
	options.bound = 0;
	for (size_t t = 0; t < THREADS; t++)
		threads.emplace_back([&, t] {
			Random random(600 + t);
			std::vector<std::pair<char *, size_t>> mine;

			for (size_t i = 0; i < test::effort(3000); i++) {
				if (random.below(100) < (i / 256 % 2 ? 25 : 60)) {
					filler_request request = {random.spread(400), 1, 0};
					bool is_zero;
					char *p = static_cast<char *>(
						filler_alloc(f(), &request, &is_zero));
					if (!p)
						continue;
					fake.own(p, request.pages << machine.grain_shift);
					write(p, request.pages, char(t + 1));
					mine.push_back({p, request.pages});
				} else if (!mine.empty()) {
					size_t n = random.below(mine.size());

					EXPECT_TRUE(
						holds(mine[n].first, mine[n].second, char(t + 1)));
					drop(mine[n].first);
					mine[n] = mine.back();
					mine.pop_back();
				}
				release_tick();
				if (random.one_in(2000))
					release_all();
				pace.work_done();
			}
			for (auto &e : mine)
				drop(e.first);
			running--;
			pace.work_done();
		});
	while (running) {
		step(20 * MS);
		if (stat_get(demoted_units) % 8 == 7)
			fake.khugepaged();
		pace.wait_for_work();
	}
	for (std::thread &thread : threads)
		thread.join();
	run(SECOND);
	EXPECT_EQ(backed(), 0u);
	check();
}

} // namespace
