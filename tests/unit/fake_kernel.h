// A kernel to test on: everything shim/kernel/kernel.h asks for, with a model of what each call
// does to huge pages (K1..K5 of the README's "What the kernel does"), on any machine, without THP.
//
// The memory is real: what tests write can be read back, and what is given back reads zero.  What
// is huge is a model: a unit that is touched while it is wholly advised huge, usable and one VMA
// *is* huge from then on, as if every fault succeeded.  That is the worst case for code that must
// never break a huge page.
//
// These fail the running test at once:
//   - give_back(), unreserve() or remap() of pages that a test owns (own());
//   - the same on part of a huge unit: a deferred split (K1);
//   - split() where khugepaged would undo it (K1: MADV_NOHUGEPAGE first);
//   - a call outside any reservation, or not aligned;
//   - own() of pages that are owned already, or that are not usable.
//
// Thread-safe.  One Kernel lives at a time.
#ifndef UNSPLIT_TESTS_UNIT_FAKE_KERNEL_H
#define UNSPLIT_TESTS_UNIT_FAKE_KERNEL_H

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

extern "C" {
#include "kernel/kernel.h"
#include "options.h"
#include "pmd/filler.h"
#include "site/plan.h"
}

namespace fake
{

enum Call {
	RESERVE,
	UNRESERVE,
	MAKE_USABLE,
	ADVISE_HUGE,
	ADVISE_BASE,
	GIVE_BACK,
	SPLIT,
	COLLAPSE,
	MOVE,
	REMAP,
	SURVEY,
	EXCLUSIVE,
	RESIDENT,
	PLACE,
	POPULATE,
	LOCATE,
	CALLS,
	ANY = CALLS,
};

struct Event {
	Call call;
	char *addr; // reserve: the hint; move: from
	size_t bytes;
	char *to; // move only
	int error;
};

enum Advice : uint8_t { NONE, HUGE_PAGES, BASE_PAGES };

// What zones and fillers of tests are for.
constexpr zone_policy ANY_ZONE = {"test", zone_policy::ZONE_WHEN_PROVEN, {}};
constexpr filler_policy ANY_FILLER = {ANY_ZONE, RELEASE_DEFAULT, true};

class Kernel
{
      public:
	// Installs itself, sets `machine`, and forgets all zones, statistics and demand.
	explicit Kernel(size_t page = 4096, size_t unit = 2u << 20);
	~Kernel();
	Kernel(const Kernel &) = delete;
	Kernel &operator=(const Kernel &) = delete;
	static Kernel &current();

	// ---- what was called ----
	size_t count(Call call = ANY) const;
	std::vector<Event> events(Call call = ANY) const;
	void forget_events();
	// Called inside every call before it does anything, without a lock: to see or do something
	// while a system call is under way.
	std::function<void(const Event &)> during;

	// ---- what fails ----
	// Fail the nth call from now on, and the `times` - 1 after it.
	void fail(Call call, size_t nth = 1, int error = ENOMEM, size_t times = 1);
	void fail_always(Call call, int error = ENOMEM)
	{
		fail(call, 1, error, SIZE_MAX);
	}
	void fail_nothing();
	bool failed() const;             // something did fail since fail()
	size_t address_limit = SIZE_MAX; // RLIMIT_AS
	size_t usable_limit = SIZE_MAX;  // overcommit_memory=2
	bool places_aligned = false;     // reserve() by chance finds a whole unit (K3: do not rely)

	// ---- who owns what ----
	void own(const void *addr, size_t bytes);
	void disown(const void *addr, size_t bytes);
	bool owned(const void *page) const;
	size_t used_units() const; // that hold an owned page
	size_t kept_units() const; // that hold none, but did since they were last returned whole

	// ---- huge pages ----
	bool huge(const void *unit); // one huge page maps it
	Advice advice(const void *page) const;
	bool usable(const void *page) const;
	void lock_pages(void *addr, size_t bytes); // mlock()
	void share(void *unit, bool shared);       // with a forked child
	// What khugepaged does when it comes by (max_ptes_none=511): makes every unit huge that is
	// advised so and has a page.  Returns how many.
	size_t khugepaged();
	size_t charged(); // bytes in the memory cgroup: a partly mapped huge page counts whole (K1)
	size_t vmas(const void *addr) const; // of the reservation that holds addr
	size_t deferred_splits() const;      // thp_deferred_split_page
	size_t split_pmds() const;           // thp_split_pmd, without those above
	size_t splits() const;               // thp_split_page, all of them synchronous
	size_t collapses() const;

	// ---- NUMA ----
	std::atomic<unsigned> nodes{1}, node{0};
	struct placement placement(const void *addr) const; // of the reservation that holds addr
	const char *name(const void *page) const;           // in /proc/PID/maps; or null

	// ---- the clock, and pressure ----
	std::atomic<bool> short_of_memory{false};
	std::atomic<uint64_t> clock{1};
	void advance(uint64_t ns)
	{
		clock += ns;
	}

	// ---- the calls themselves ----
	void *reserve(void *hint, size_t bytes);
	int unreserve(void *addr, size_t bytes);
	int make_usable(void *addr, size_t bytes);
	int advise(Call call, void *addr, size_t bytes);
	int give_back(void *addr, size_t bytes);
	int split(void *unit);
	int collapse(void *unit);
	int move(void *from, size_t bytes, void *to);
	int remap(void *addr, size_t bytes);
	int survey(void *addr, size_t count, struct kernel_unit *seen);
	bool exclusive(void *unit);
	size_t resident(void *addr, size_t bytes);
	int put_on(void *addr, size_t bytes, const struct placement *where);
	int populate(void *addr, size_t bytes);
	void give_name(void *addr, size_t bytes, const char *name);
	int locate(void *const *pages, size_t count, int *at);

      private:
	struct Page {
		bool mapped, usable, locked, owned;
		Advice advice;
		uint16_t vma; // 0: the reservation's own; else of which move()
		const char *name;
		bool same_vma(const Page &other) const;
	};
	enum State : uint8_t {
		EMPTY, // no page table: the next touch decides
		BASE,  // a page table of base pages, perhaps with nothing in it (K2)
		WHOLE, // one huge page
	};
	struct Unit {
		State state;
		bool dirty; // was owned since it was last returned whole
		bool torn;  // a partly mapped huge page is charged for it
		bool shared;
		uint32_t owned;
	};
	struct Region {
		char *base; // of the first unit
		size_t bytes;
		std::vector<Page> pages;
		std::vector<Unit> units;
		struct placement where = {};
	};
	struct Span { // pages [first, end) of a region
		Region *region;
		size_t first, end;
	};

	int enter(const Event &event);
	Region *region_of(const void *addr) const;
	Span span(const void *addr, size_t bytes) const;
	Page &page_at(const void *addr) const;
	Region *map_region(void *hint, size_t bytes, char **start);
	char *address(const Region &region, size_t page) const;
	size_t pages_per_unit() const;
	int node_of(const Region &region, size_t page) const;
	size_t really_resident(const Region &region, size_t first, size_t end) const;
	bool uniform(const Region &region, size_t unit) const;
	bool could_be_huge(const Region &region, size_t unit) const;
	void settle(Region &region, size_t unit);
	void settle(const Span &s);
	template <typename F> void each_unit(const Span &s, F f);
	void empty(Region &region, size_t unit);
	void lose(const Span &s, const char *what);
	void change_flags(const Span &s);
	void free_zero_pages(Region &region, size_t unit);
	void count_kept(const Unit &unit, int sign);
	int all_mapped(const Span &s) const;
	bool movable(const Span &from, const Span &to) const;
	void move_pages(const Span &from, const Span &to);

	mutable std::mutex mutex;
	std::map<const char *, std::unique_ptr<Region>> regions; // by base
	std::vector<Event> log;
	size_t counts[CALLS + 1] = {};
	Call failing = ANY;
	size_t fail_in = 0, fail_times = 0;
	int fail_error = 0;
	bool has_failed = false;
	char *next_place;
	size_t reserved = 0, made_usable = 0;
	size_t used = 0, kept = 0;
	size_t deferred = 0, pmds = 0, split_count = 0, collapse_count = 0;
	uint16_t moves = 0;
};

} // namespace fake

#endif
