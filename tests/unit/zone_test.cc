// Prefixes, zones and their advice; and the pools of our own structures, which lie in a prefix.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "fake_kernel.h"

extern "C" {
#include "kernel/vma_name.h"
#include "pmd/meta.h"
#include "pmd/zone.h"
#include "report/stats.h"
}

namespace
{

struct Machine {
	size_t page, unit;
};

class OnMachine : public testing::TestWithParam<Machine>
{
      protected:
	fake::Kernel fake{GetParam().page, GetParam().unit};
};

class Prefix : public OnMachine
{
};

class Zone : public OnMachine
{
};

const auto machines = testing::Values(Machine{4096, 2u << 20}, Machine{16384, 32u << 20},
                                      Machine{65536, 32u << 20});

std::string name_of(const testing::TestParamInfo<Machine> &info)
{
	return std::to_string(info.param.page >> 10) + "K" + std::to_string(info.param.unit >> 20) +
	       "M";
}

INSTANTIATE_TEST_SUITE_P(Machines, Prefix, machines, name_of);
INSTANTIATE_TEST_SUITE_P(Machines, Zone, machines, name_of);

// ---- prefixes ----

TEST_P(Prefix, IsAlignedAndTheRestGoesBack)
{
	prefix p = {};

	fake.address_limit = 16 * machine.unit;
	ASSERT_EQ(prefix_reserve(&p, nullptr, 2 * machine.unit, 4 * machine.unit), 0);
	EXPECT_EQ(uintptr_t(p.base) % (4 * machine.unit), 0u);
	EXPECT_EQ(p.bytes, 2 * machine.unit);
	EXPECT_EQ(p.ready, 0u);
	void *rest = kernel->reserve(nullptr, 14 * machine.unit);
	EXPECT_NE(rest, nullptr) << "nothing is reserved but the prefix";
	EXPECT_EQ(kernel->reserve(nullptr, machine.page), nullptr);
	prefix_release(&p);
	EXPECT_EQ(p.base, nullptr);
	EXPECT_EQ(p.bytes, 0u);
	EXPECT_NE(kernel->reserve(nullptr, 2 * machine.unit), nullptr);
}

TEST_P(Prefix, EveryAlignment)
{
	for (size_t align = machine.page; align <= 8 * machine.unit; align *= 2)
		for (bool places_aligned : {false, true}) {
			prefix p = {};

			fake.places_aligned = places_aligned;
			ASSERT_EQ(prefix_reserve(&p, nullptr, machine.unit, align), 0);
			ASSERT_EQ(uintptr_t(p.base) % align, 0u) << align;
			ASSERT_EQ(prefix_need(&p, machine.unit), 0);
			memset(p.base, 1, machine.page);
			memset(p.base + machine.unit - machine.page, 1, machine.page);
			prefix_release(&p);
		}
}

TEST_P(Prefix, TakesTheHintIfItIsFree)
{
	char *hint = reinterpret_cast<char *>(0x7ed000000000);
	prefix first = {}, second = {};

	ASSERT_EQ(prefix_reserve(&first, hint, machine.unit, machine.unit), 0);
	EXPECT_EQ(first.base, hint);
	ASSERT_EQ(prefix_reserve(&second, hint, machine.unit, machine.unit), 0);
	EXPECT_NE(second.base, hint);
	EXPECT_EQ(uintptr_t(second.base) % machine.unit, 0u);
}

TEST_P(Prefix, RefusedReservations)
{
	prefix p = {};

	fake.fail_always(fake::RESERVE);
	EXPECT_EQ(prefix_reserve(&p, nullptr, machine.unit, machine.unit), ENOMEM);
	// The second try, with room to align, may be refused too.
	fake.fail(fake::RESERVE, 2);
	EXPECT_EQ(prefix_reserve(&p, nullptr, machine.unit, machine.unit), ENOMEM);
	EXPECT_TRUE(fake.failed());
	fake.fail_nothing();
	fake.address_limit = 0;
	EXPECT_EQ(kernel->reserve(nullptr, machine.page), nullptr) << "all was given back";
}

TEST_P(Prefix, GrowsToWhatIsNeededAndNoFurtherThanItsEnd)
{
	prefix p = {};

	ASSERT_EQ(prefix_reserve(&p, nullptr, 8 * machine.unit, machine.unit), 0);
	EXPECT_FALSE(fake.usable(p.base));
	ASSERT_EQ(prefix_need(&p, 1), 0);
	EXPECT_EQ(p.ready, machine.unit) << "whole units";
	ASSERT_EQ(prefix_need(&p, machine.unit), 0);
	EXPECT_EQ(fake.count(fake::MAKE_USABLE), 1u) << "it was there";
	ASSERT_EQ(prefix_need(&p, 3 * machine.unit + 1), 0);
	EXPECT_EQ(p.ready, 4 * machine.unit);
	EXPECT_EQ(prefix_need(&p, 8 * machine.unit + 1), ENOMEM);
	EXPECT_EQ(p.ready, 4 * machine.unit);
	ASSERT_EQ(prefix_need(&p, 8 * machine.unit), 0);
	EXPECT_EQ(p.ready, p.bytes);
	p.base[p.bytes - 1] = 1;
	EXPECT_LE(fake.vmas(p.base), 2u);
}

TEST_P(Prefix, GrowthIsRare)
{
	constexpr size_t UNITS = 128;
	prefix p = {};

	ASSERT_EQ(prefix_reserve(&p, nullptr, UNITS * machine.unit, machine.unit), 0);
	for (size_t i = 1; i <= UNITS; i++)
		ASSERT_EQ(prefix_need(&p, i * machine.unit), 0);
	EXPECT_LT(fake.count(fake::MAKE_USABLE), UNITS / 2);
	EXPECT_EQ(fake.vmas(p.base), 1u);
}

TEST_P(Prefix, SmallOnesGrowByPages)
{
	prefix p = {};

	ASSERT_EQ(prefix_reserve(&p, nullptr, 16 * machine.page + 100, machine.page), 0);
	ASSERT_EQ(prefix_need(&p, 100), 0);
	EXPECT_EQ(p.ready % machine.page, 0u);
	EXPECT_LE(p.ready, 16 * machine.page) << "not a unit";
	ASSERT_EQ(prefix_need(&p, 16 * machine.page + 100), 0);
	EXPECT_EQ(p.ready, 16 * machine.page + 100);
	p.base[p.ready - 1] = 1;
	prefix_release(&p);
}

TEST_P(Prefix, AsksForLessWhenMoreIsRefused)
{
	prefix p = {};

	ASSERT_EQ(prefix_reserve(&p, nullptr, 64 * machine.unit, machine.unit), 0);
	ASSERT_EQ(prefix_need(&p, 32 * machine.unit), 0);
	fake.usable_limit = 33 * machine.unit;
	ASSERT_EQ(prefix_need(&p, 33 * machine.unit), 0) << "an eighth more is refused, one is not";
	EXPECT_EQ(p.ready, 33 * machine.unit);
	EXPECT_EQ(prefix_need(&p, 34 * machine.unit), ENOMEM);
	EXPECT_EQ(p.ready, 33 * machine.unit);
	fake.usable_limit = SIZE_MAX;
	EXPECT_EQ(prefix_need(&p, 34 * machine.unit), 0);
}

TEST(PrefixThreads, GrowsOnce)
{
	fake::Kernel fake;
	prefix p = {};
	std::vector<std::thread> threads;

	ASSERT_EQ(prefix_reserve(&p, nullptr, 64 * machine.unit, machine.unit), 0);
	for (unsigned t = 0; t < 4; t++)
		threads.emplace_back([&, t] {
			for (size_t i = 1; i <= 64; i++) {
				EXPECT_EQ(prefix_need(&p, i * machine.unit), 0);
				p.base[i * machine.unit - 1 - t] = char(t + 1);
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(p.ready, p.bytes);
	size_t sum = 0;
	for (const fake::Event &event : fake.events(fake::MAKE_USABLE))
		sum += event.bytes;
	EXPECT_EQ(sum, p.bytes) << "nothing was made usable twice";
}

// ---- zones ----

// Open a zone and join it to the others.
int open_and_join(struct zone *z, size_t units, size_t least_units = 1)
{
	int error = zone_open(z, &fake::ANY_ZONE, nullptr, units * machine.unit, least_units * machine.unit,
	                      machine.unit);

	if (!error)
		zone_join(z);
	return error;
}

TEST_P(Zone, BeginsOnBasePages)
{
	zone z = {};

	ASSERT_EQ(open_and_join(&z, 16), 0);
	EXPECT_EQ(z.units, 16u);
	EXPECT_FALSE(z.huge);
	EXPECT_EQ(uintptr_t(z.data.base) % machine.unit, 0u);
	EXPECT_EQ(fake.advice(z.data.base), fake::BASE_PAGES);
	EXPECT_EQ(fake.advice(z.data.base + z.data.bytes - 1), fake::BASE_PAGES);
	EXPECT_EQ(zones_first(), &z);
	EXPECT_EQ(stats.zones, 1u);
	EXPECT_TRUE(zone_owns(&z, z.data.base));
	EXPECT_TRUE(zone_owns(&z, z.data.base + z.data.bytes - 1));
	EXPECT_FALSE(zone_owns(&z, z.data.base + z.data.bytes));
	EXPECT_FALSE(zone_owns(&z, z.data.base - 1));
	EXPECT_FALSE(zone_owns(&z, nullptr));
}

TEST_P(Zone, ProvenOnesAreAdvisedWholeAndOnce)
{
	zone first = {}, second = {}, later = {};

	ASSERT_EQ(open_and_join(&first, 4), 0);
	ASSERT_EQ(open_and_join(&second, 8), 0);
	EXPECT_FALSE(zones_proven());
	zones_prove();
	zones_prove();
	EXPECT_TRUE(zones_proven());
	ASSERT_EQ(open_and_join(&later, 2), 0);
	std::vector<fake::Event> events = fake.events(fake::ADVISE_HUGE);
	ASSERT_EQ(events.size(), 3u);
	EXPECT_EQ(events[2].addr, later.data.base);
	for (zone *z : {&first, &second, &later}) {
		EXPECT_TRUE(z->huge);
		EXPECT_EQ(prefix_need(&z->data, 2 * machine.unit), 0);
		EXPECT_EQ(fake.advice(z->data.base), fake::HUGE_PAGES);
		EXPECT_EQ(fake.advice(z->data.base + z->data.bytes - 1), fake::HUGE_PAGES);
		EXPECT_LE(fake.vmas(z->data.base), 2u) << "usable and not yet usable";
		z->data.base[machine.unit] = 1;
		EXPECT_TRUE(fake.huge(z->data.base + machine.unit));
		EXPECT_FALSE(fake.huge(z->data.base));
	}
	EXPECT_EQ(stats.advice_failures, 0u);
}

TEST_P(Zone, RefusedAdviceIsCountedAndHarmless)
{
	zone z = {};

	fake.fail_always(fake::ADVISE_BASE, EINVAL);
	ASSERT_EQ(open_and_join(&z, 4), 0);
	EXPECT_EQ(stats.advice_failures, 1u);
	fake.fail_always(fake::ADVISE_HUGE, EINVAL);
	zones_prove();
	EXPECT_FALSE(z.huge);
	EXPECT_EQ(stats.advice_failures, 2u);
	EXPECT_EQ(prefix_need(&z.data, machine.unit), 0);
	z.data.base[0] = 1;
}

TEST_P(Zone, TakesAsMuchAsThereIs)
{
	zone z = {};

	fake.address_limit = 20 * machine.unit;
	ASSERT_EQ(open_and_join(&z, 64), 0) << "64 and 32 are refused, 16 fit";
	EXPECT_EQ(z.units, 16u);
	EXPECT_EQ(z.data.bytes, 16 * machine.unit);
	zone more = {};
	EXPECT_EQ(open_and_join(&more, 64, 8), ENOMEM) << "at least 8";
	EXPECT_EQ(zones_first(), &z);
}

TEST_P(Zone, ReadvisesAsTheZoneIs)
{
	zone z = {};

	ASSERT_EQ(open_and_join(&z, 8), 0);
	ASSERT_EQ(prefix_need(&z.data, 8 * machine.unit), 0);
	for (fake::Advice advice : {fake::BASE_PAGES, fake::HUGE_PAGES}) {
		char *unit = z.data.base + 2 * machine.unit;

		ASSERT_EQ(kernel->remap(unit, machine.unit), 0);
		EXPECT_EQ(fake.vmas(unit), 3u);
		zone_readvise(&z, unit, machine.unit);
		EXPECT_EQ(fake.advice(unit), advice);
		EXPECT_EQ(fake.vmas(unit), 1u);
		zones_prove();
	}
	fake.fail_always(fake::ADVISE_HUGE);
	zone_readvise(&z, z.data.base, machine.unit);
	EXPECT_EQ(stats.advice_failures, 1u);
}

TEST_P(Zone, HasItsNameAlsoWhereItWasMappedAfresh)
{
	zone z = {};

	ASSERT_EQ(open_and_join(&z, 8), 0);
	ASSERT_EQ(prefix_need(&z.data, 8 * machine.unit), 0);
	EXPECT_STREQ(fake.name(z.data.base + 7 * machine.unit), z.policy.name);
	char *unit = z.data.base + 2 * machine.unit;
	ASSERT_EQ(kernel->remap(unit, machine.unit), 0);
	EXPECT_EQ(fake.name(unit), nullptr) << "the fake forgets names as the kernel does";
	ASSERT_EQ(zone_return(&z, unit, machine.unit, true), 0);
	EXPECT_STREQ(fake.name(unit), z.policy.name);
	EXPECT_EQ(fake.vmas(unit), 1u);
}

TEST(VmaName, IsOneThatTheKernelTakes)
{
	char text[VMA_NAME];

	vma_name_text(text, "table of orders");
	EXPECT_STREQ(text, "unsplit table of orders");
	vma_name_text(text, "a\\b`c$d[e]f\ng\xc3\xa4");
	EXPECT_STREQ(text, "unsplit a_b_c_d_e_f_g__");
	vma_name_text(text, std::string(200, 'x').c_str());
	EXPECT_EQ(text, "unsplit " + std::string(VMA_NAME - 1 - strlen("unsplit "), 'x'));
}

TEST_P(Zone, ReturnsWithACallOrAfresh)
{
	zone z = {};

	ASSERT_EQ(open_and_join(&z, 8), 0);
	ASSERT_EQ(prefix_need(&z.data, 8 * machine.unit), 0);
	zones_prove();
	fake.forget_events();
	ASSERT_EQ(zone_return(&z, z.data.base, machine.unit, false), 0);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 1u);
	EXPECT_EQ(fake.count(fake::REMAP), 0u);
	ASSERT_EQ(zone_return(&z, z.data.base + machine.unit, machine.unit, true), 0);
	EXPECT_EQ(fake.count(fake::GIVE_BACK), 1u);
	EXPECT_EQ(fake.count(fake::REMAP), 1u);
	EXPECT_EQ(fake.advice(z.data.base + machine.unit), fake::HUGE_PAGES);
	EXPECT_EQ(fake.vmas(z.data.base), 1u);
	fake.fail_always(fake::REMAP, ENOMEM);
	EXPECT_EQ(zone_return(&z, z.data.base, machine.unit, true), ENOMEM);
}

TEST_P(Zone, ResidentIsTheSumOfAll)
{
	zone first = {}, second = {};

	EXPECT_EQ(zones_resident(), 0u);
	ASSERT_EQ(open_and_join(&first, 4), 0);
	EXPECT_EQ(zones_resident(), 0u) << "nothing is usable yet";
	ASSERT_EQ(open_and_join(&second, 4), 0);
	ASSERT_EQ(prefix_need(&first.data, machine.unit), 0);
	ASSERT_EQ(prefix_need(&second.data, 3 * machine.unit), 0);
	first.data.base[0] = 1;
	second.data.base[3 * machine.unit - 1] = 1;
	EXPECT_EQ(zones_resident(), 2 * machine.page);
	fake.fail(fake::RESIDENT, 2);
	EXPECT_EQ(zones_resident(), SIZE_MAX) << "the kernel will not say";
}

TEST(ZoneShare, IsAnEighthOfTheLimit)
{
	fake::Kernel fake;
	constexpr size_t MB = 1 << 20;

	EXPECT_EQ(zone_share(size_t(4) << 40), size_t(4) << 40);
	fake.address_limit = 1024 * MB;
	EXPECT_EQ(zone_share(size_t(4) << 40), 128 * MB);
	EXPECT_EQ(zone_share(64 * MB), 64 * MB);
	fake.address_limit = 300 * MB;
	EXPECT_EQ(zone_share(size_t(4) << 40), 32 * MB) << "in steps of 32 MiB";
	fake.address_limit = 10 * MB;
	EXPECT_EQ(zone_share(size_t(4) << 40), 32 * MB) << "never less";
}

TEST(ZoneThreads, OpenAndProveAtOnce)
{
	fake::Kernel fake;
	constexpr size_t ZONES = 16;
	std::vector<zone> zones(ZONES);
	std::vector<std::thread> threads;

	for (unsigned t = 0; t < 4; t++)
		threads.emplace_back([&, t] {
			for (size_t i = t; i < ZONES; i += 4) {
				EXPECT_EQ(open_and_join(&zones[i], 2), 0);
				if (i == 7)
					zones_prove();
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	std::set<zone *> seen;
	for (zone *z = zones_first(); z; z = z->next) {
		EXPECT_TRUE(z->huge);
		EXPECT_TRUE(seen.insert(z).second) << "twice in the list";
	}
	EXPECT_EQ(seen.size(), ZONES);
}

// ---- pools ----

// META_POOL is for C: it leaves out members.
meta_pool pool_of(size_t size)
{
	meta_pool pool = {};

	pool.size = size;
	pool.lock = PTHREAD_MUTEX_INITIALIZER;
	return pool;
}

TEST(Meta, ItemsAreZeroApartAndReused)
{
	fake::Kernel fake;
	meta_pool pool = pool_of(600);
	std::set<char *> items;

	for (int i = 0; i < 1000; i++) {
		char *item = static_cast<char *>(meta_take(&pool));

		ASSERT_NE(item, nullptr);
		for (size_t at = 0; at < 600; at++)
			ASSERT_EQ(item[at], 0);
		memset(item, 1, 600);
		auto next = items.insert(item).first;
		if (next != items.begin()) {
			ASSERT_GE(item - *std::prev(next), 600);
		}
	}
	char *freed = *items.begin();
	meta_put(&pool, freed);
	char *again = static_cast<char *>(meta_take(&pool));
	EXPECT_EQ(again, freed);
	for (size_t at = 0; at < 600; at++)
		ASSERT_EQ(again[at], 0);
}

TEST(Meta, NoMemory)
{
	fake::Kernel fake;
	meta_pool pool = pool_of(64);

	fake.fail_always(fake::RESERVE);
	EXPECT_EQ(meta_take(&pool), nullptr);
	fake.fail_always(fake::MAKE_USABLE);
	EXPECT_EQ(meta_take(&pool), nullptr);
	fake.fail_nothing();
	EXPECT_NE(meta_take(&pool), nullptr) << "a refusal is not for ever";
}

TEST(Meta, ManyThreads)
{
	fake::Kernel fake;
	static meta_pool pool;
	std::vector<std::thread> threads;

	pool = pool_of(sizeof(uint64_t) * 4);
	for (uint64_t t = 1; t <= 4; t++)
		threads.emplace_back([t] {
			for (int i = 0; i < 5000; i++) {
				uint64_t *item = static_cast<uint64_t *>(meta_take(&pool));

				ASSERT_NE(item, nullptr);
				EXPECT_EQ(item[0] | item[1], 0u);
				item[0] = item[1] = t;
				EXPECT_EQ(item[0], t);
				meta_put(&pool, item);
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_LE(pool.used, 4 * pool.size) << "no more than were out at once";
}

} // namespace
