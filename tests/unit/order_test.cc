// What a program asks for at once: demote, heal, and other options.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "release_fixture.h"

namespace
{

using fake::MS;
using fake::SECOND;
using fake::SLICES;

class Order : public testing::Test, public fake::Release
{
      protected:
	// `n` used units on base pages, as a write after fork leaves them.
	char *broken_units(size_t n)
	{
		char *p = take_and_write(n * UNIT_PAGES, UNIT_PAGES);

		for (size_t i = 0; i < n; i++)
			break_unit(p + i * machine.unit);
		return p;
	}
	void break_unit(char *u)
	{
		ASSERT_EQ(kernel->advise_base(u, machine.unit), 0);
		ASSERT_EQ(kernel->split(u), 0);
		ASSERT_EQ(kernel->advise_huge(u, machine.unit), 0);
		ASSERT_FALSE(fake.huge(u));
		fake.forget_events();
	}
	static size_t heal_all()
	{
		struct release_healing healing = {};

		while (release_heal(&healing))
			;
		return healing.healed;
	}
};

// ---- demote ----

TEST_F(Order, DemotesWhateverTheOptionSays)
{
	options.release = RELEASE_KEEP;
	auto kept = leave_slack({112, 312});

	EXPECT_EQ(release_demote(SIZE_MAX), 600 << machine.grain_shift);
	for (char *p : kept)
		EXPECT_FALSE(fake.huge(p));
	EXPECT_EQ(release_demote(SIZE_MAX), 0u);
	check();
}

TEST_F(Order, DemotesTheEmptiestAndNoMoreThanItTakes)
{
	auto kept = leave_slack({112, 312, 412});

	EXPECT_EQ(release_demote(0), 0u);
	EXPECT_EQ(release_demote(1), 400 << machine.grain_shift);
	EXPECT_FALSE(fake.huge(kept[0]));
	EXPECT_TRUE(fake.huge(kept[1]));
	EXPECT_EQ(release_demote(201 << machine.grain_shift), 300 << machine.grain_shift);
	check();
}

// ---- heal ----

TEST_F(Order, HealsAllPartsWithoutABudget)
{
	options.heal = 0;
	char *p = broken_units(3);
	take_slices(0, 2 * SLICES, 0);
	take_slices(0, SLICES, 1);
	write_slices(0, 2 * SLICES, 0);
	write_slices(0, SLICES, 1);
	break_unit(slice(SLICES, 0));
	break_unit(slice(0, 1));
	EXPECT_EQ(heal_all(), 5u);
	for (size_t i = 0; i < 3; i++)
		EXPECT_TRUE(fake.huge(p + i * machine.unit));
	EXPECT_TRUE(fake.huge(slice(SLICES, 0)) && fake.huge(slice(0, 1)));
	EXPECT_EQ(heal_all(), 0u);
	check();
}

TEST_F(Order, HealsOneUnitAtATime)
{
	struct release_healing healing = {};

	broken_units(3);
	for (size_t i = 1; i <= 3; i++) {
		EXPECT_TRUE(release_heal(&healing));
		EXPECT_EQ(healing.healed, i);
	}
	EXPECT_FALSE(release_heal(&healing));
	EXPECT_FALSE(release_heal(&healing)) << "the walk is over";
}

TEST_F(Order, LeavesAloneWhatCannotBeHealed)
{
	char *p = broken_units(4);

	fake.share(p, true);
	fake.fail(fake::COLLAPSE, 2, EAGAIN);
	EXPECT_EQ(heal_all(), 2u) << "of three that are not shared one was refused";
	EXPECT_FALSE(fake.huge(p));
	EXPECT_TRUE(fake.huge(p + machine.unit));
	EXPECT_FALSE(fake.huge(p + 2 * machine.unit));
	EXPECT_TRUE(fake.huge(p + 3 * machine.unit));
}

TEST_F(Order, HealsNothingThatWouldBeDemotedAgain)
{
	// As many as the bound tolerates for ever are healed, at 200 pages each.
	size_t tolerated = 0;

	leave_slack(100, 312);
	release_demote(SIZE_MAX);
	tolerated = bound_tolerated();
	EXPECT_EQ(heal_all(), tolerated / 200);
	EXPECT_LE(release_slack_pages(), tolerated);
	options.release = RELEASE_KEEP;
	EXPECT_EQ(heal_all(), 100 - tolerated / 200) << "any slack is tolerated";
}

TEST_F(Order, HealsNothingInAHeapThatIsNotBig)
{
	broken_units(1);
	zones_reset();
	EXPECT_EQ(heal_all(), 0u);
}

// ---- options ----

bool set_heal(void *value)
{
	options.heal = *static_cast<unsigned *>(value);
	return options.heal != 13;
}

TEST_F(Order, AChangeIsMadeAndWakesTheKeeper)
{
	unsigned value = 13;

	EXPECT_FALSE(release_wants_keeper());
	EXPECT_FALSE(release_change(set_heal, &value));
	EXPECT_FALSE(release_wants_keeper()) << "nothing has changed";
	value = 20;
	EXPECT_TRUE(release_change(set_heal, &value));
	EXPECT_EQ(options.heal, 20u);
	EXPECT_TRUE(release_wants_keeper());
}

// The healer divides by options.heal: it must not become 0 while somebody works.
TEST_F(Order, AChangeWaitsForWhoeverIsAtWork)
{
	std::atomic<bool> changing{false};
	std::thread other;
	unsigned value = 0, seen = 77;

	broken_units(1);
	fake.during = [&](const fake::Event &event) {
		if (event.call != fake::COLLAPSE)
			return;
		other = std::thread([&] {
			changing = true;
			release_change(set_heal, &value);
		});
		while (!changing)
			std::this_thread::yield();
		for (int i = 0; i < 100; i++)
			std::this_thread::yield();
		seen = options.heal;
	};
	healing_ask();
	step();
	other.join();
	EXPECT_EQ(seen, 10u);
	EXPECT_EQ(options.heal, 0u);
}

TEST(OptionsLive, AreThoseThatCanBeChanged)
{
	std::set<std::string> live;

	for (size_t i = 0; i < option_count; i++) {
		EXPECT_EQ(option_find(option_rows[i].name), &option_rows[i]);
		if (option_is_live(&option_rows[i]))
			live.insert(option_rows[i].name);
	}
	EXPECT_EQ(live,
	          (std::set<std::string>{"release", "delay", "bound", "heal", "huge_after",
	                                 "thread_cache", "pack", "pad", "report", "deepbind"}))
		<< "unsplit.h names them, too";
	EXPECT_EQ(option_find("relase"), nullptr);
}

} // namespace
