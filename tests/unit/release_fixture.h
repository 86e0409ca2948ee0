// What the tests of release/ rule over: a filler and two ledgers on the fake kernel, whose clock
// the test drives.
#ifndef UNSPLIT_TESTS_UNIT_RELEASE_FIXTURE_H
#define UNSPLIT_TESTS_UNIT_RELEASE_FIXTURE_H

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fake_kernel.h"

extern "C" {
#include "options.h"
#include "pmd/demand.h"
#include "pmd/filler.h"
#include "pmd/ledger.h"
#include "release/bound.h"
#include "release/healing.h"
#include "release/keeper.h"
#include "release/release.h"
#include "release/retain.h"
#include "report/stats.h"
}

namespace fake
{

constexpr uint64_t MS = 1000000, SECOND = 1000 * MS;
constexpr size_t SLICES = 32, SLICE_PAGES = UNIT_PAGES / SLICES; // of a ledger's unit
// An extent that must be aligned does not lie across the border of two units.
constexpr size_t INSIDE = 2;

class Release
{
      public:
	static constexpr size_t LEDGERS = 2;

	explicit Release(size_t units = 128) : filler(new struct filler()), delay(SECOND)
	{
		options_default(&options);
		memset(ledgers, 0, sizeof(ledgers));
		filler_init(f(), &ANY_FILLER);
		zones_prove();
		EXPECT_EQ(filler_add_zone(f(), nullptr, units * machine.unit, machine.unit), 0);
		for (struct ledger &l : ledgers)
			EXPECT_EQ(ledger_open(&l, &ANY_ZONE, nullptr, units * machine.unit,
			                      machine.unit, machine.unit),
			          0);
		release_after_fork(); // forget what earlier tests left behind
		struct release_scope scope = {f(),           &filler_count, ledgers,
		                              &ledger_count, nullptr,       nullptr};
		release_init(&scope);
		fake.forget_events();
	}
	~Release()
	{
		options_default(&options);
		release_after_fork();
	}

	struct filler *f()
	{
		return filler.get();
	}
	char *unit(size_t i)
	{
		return filler->zones[0].zone.data.base + i * machine.unit;
	}
	struct unit *about(size_t i)
	{
		return reinterpret_cast<struct unit *>(filler->zones[0].units.base) + i;
	}
	char *slice(size_t i, size_t ledger = 0)
	{
		return ledgers[ledger].zone.data.base + i * (machine.unit / SLICES);
	}
	uint64_t word(size_t i, size_t ledger = 0)
	{
		return reinterpret_cast<uint64_t *>(ledgers[ledger].words.base)[i];
	}

	// ---- extents ----
	char *take(size_t pages, size_t align = 1)
	{
		filler_request request = {pages, align, 0};
		char *p = static_cast<char *>(filler_alloc(f(), &request, &zero));

		EXPECT_NE(p, nullptr);
		if (p)
			fake.own(p, pages << machine.grain_shift);
		return p;
	}
	static void write(char *p, size_t pages, char value = 1)
	{
		for (size_t i = 0; i < pages; i++)
			p[i << machine.grain_shift] = value;
	}
	static bool holds(const char *p, size_t pages, char value = 1)
	{
		for (size_t i = 0; i < pages; i++)
			if (p[i << machine.grain_shift] != value)
				return false;
		return true;
	}
	char *take_and_write(size_t pages, size_t align = 1)
	{
		char *p = take(pages, align);

		write(p, pages);
		return p;
	}
	void drop(char *p)
	{
		fake.disown(p, filler_size(f(), p) << machine.grain_shift);
		filler_free(f(), p);
	}
	// `n` whole units, neighbours, each touched.
	char *take_units(size_t n)
	{
		char *p = take(n * UNIT_PAGES, UNIT_PAGES);

		for (size_t i = 0; i < n; i++)
			p[i * machine.unit] = 1;
		return p;
	}
	// Units of which the first `used[i]` pages are used and written, and the rest is slack.
	// They are huge.  To be called while no other unit has room.
	std::vector<char *> leave_slack(const std::vector<size_t> &used)
	{
		std::vector<char *> kept, freed;

		for (size_t pages : used) {
			kept.push_back(take_and_write(pages, INSIDE));
			freed.push_back(take(UNIT_PAGES - pages));
			EXPECT_EQ(freed.back(), kept.back() + (pages << machine.grain_shift));
		}
		for (char *p : freed)
			drop(p);
		return kept;
	}
	std::vector<char *> leave_slack(size_t units, size_t used)
	{
		return leave_slack(std::vector<size_t>(units, used));
	}

	// ---- slices ----
	void take_slices(size_t from, size_t n, size_t ledger = 0)
	{
		ledger_count = ledger_count > ledger ? ledger_count : ledger + 1;
		ASSERT_EQ(ledger_take(&ledgers[ledger], slice(from, ledger), n * slice_bytes()), 0);
		fake.own(slice(from, ledger), n * slice_bytes());
	}
	void write_slices(size_t from, size_t n, size_t ledger = 0)
	{
		write(slice(from, ledger), n * SLICE_PAGES);
	}
	void give_slices(size_t from, size_t n, size_t ledger = 0)
	{
		fake.disown(slice(from, ledger), n * slice_bytes());
		ledger_give(&ledgers[ledger], slice(from, ledger), n * slice_bytes());
	}
	static size_t slice_bytes()
	{
		return machine.unit / SLICES;
	}

	// ---- time ----
	// One step of the keeper, `after` ns later.
	uint64_t step(uint64_t after = 0)
	{
		fake.advance(after);
		return release_step(fake.clock);
	}
	// Steps as the keeper takes them, until `ns` have passed.
	void run(uint64_t ns)
	{
		constexpr uint64_t LONGEST_SLEEP = 250 * MS;
		uint64_t end = fake.clock + ns;

		while (fake.clock < end) {
			uint64_t wait = step();
			fake.advance(std::min(
				{std::max<uint64_t>(wait, 1000), LONGEST_SLEEP, end - fake.clock}));
		}
	}
	// One call of a slow path that does work: most of them only count.
	void tick()
	{
		for (int i = 0; i < 16; i++)
			release_tick();
	}

	// ---- what is there ----
	static size_t resident(const void *unit)
	{
		struct kernel_unit seen;

		EXPECT_EQ(kernel->survey(const_cast<void *>(unit), 1, &seen), 0);
		return seen.resident;
	}
	// Bytes of all zones that are charged to the memory cgroup.
	size_t backed()
	{
		size_t pages = 0;

		for (size_t i = 0; i < filler->zones[0].top; i++)
			pages += resident(unit(i));
		for (size_t l = 0; l < ledger_count; l++)
			for (size_t i = 0; i < ledgers[l].top; i++)
				pages += resident(slice(i * SLICES, l));
		return pages << machine.grain_shift;
	}
	bool consistent()
	{
		bool ok = filler_consistent(f());

		for (size_t l = 0; l < ledger_count; l++)
			ok = ok && ledger_consistent(&ledgers[l]);
		return ok;
	}
	// What must hold at any time at which nothing is under way.
	void check()
	{
		EXPECT_TRUE(consistent());
		EXPECT_EQ(release_kept_units(), fake.kept_units());
		EXPECT_EQ(demand_now(), fake.used_units());
		EXPECT_EQ(fake.deferred_splits() + fake.split_pmds(), 0u);
	}

	fake::Kernel fake;
	std::unique_ptr<struct filler> filler;
	struct ledger ledgers[LEDGERS];
	const size_t filler_count = 1;
	size_t ledger_count = 0;
	uint64_t delay; // options.delay, ns
	bool zero = false;
};

// Pages as bytes, and bytes as pages.
constexpr size_t MIB_PAGES = 256;

} // namespace fake

#endif
