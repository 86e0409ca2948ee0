#include "fake_kernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

extern "C" {
#include "pmd/demand.h"
#include "pmd/zone.h"
#include "report/stats.h"
}

namespace fake
{

namespace
{

Kernel *installed;
struct machine saved_machine;

struct kernel make_hooks()
{
	struct kernel k = {};

	k.reserve = [](void *hint, size_t bytes) { return installed->reserve(hint, bytes); };
	k.unreserve = [](void *addr, size_t bytes) { return installed->unreserve(addr, bytes); };
	k.make_usable = [](void *addr, size_t bytes) {
		return installed->make_usable(addr, bytes);
	};
	k.advise_huge = [](void *addr, size_t bytes) {
		return installed->advise(ADVISE_HUGE, addr, bytes);
	};
	k.advise_base = [](void *addr, size_t bytes) {
		return installed->advise(ADVISE_BASE, addr, bytes);
	};
	k.give_back = [](void *addr, size_t bytes) { return installed->give_back(addr, bytes); };
	k.split = [](void *unit) { return installed->split(unit); };
	k.collapse = [](void *unit) { return installed->collapse(unit); };
	k.move = [](void *from, size_t bytes, void *to) {
		return installed->move(from, bytes, to);
	};
	k.remap = [](void *addr, size_t bytes) { return installed->remap(addr, bytes); };
	k.survey = [](void *addr, size_t count, struct kernel_unit *seen) {
		return installed->survey(addr, count, seen);
	};
	k.exclusive = [](void *unit) { return installed->exclusive(unit); };
	k.resident = [](void *addr, size_t bytes) { return installed->resident(addr, bytes); };
	k.place = [](void *addr, size_t bytes, const struct placement *where) {
		return installed->put_on(addr, bytes, where);
	};
	k.name = [](void *addr, size_t bytes, const char *name) {
		installed->give_name(addr, bytes, name);
	};
	k.populate = [](void *addr, size_t bytes, bool) {
		return installed->populate(addr, bytes);
	};
	k.node = []() { return installed->node.load(); };
	k.nodes = []() { return installed->nodes.load(); };
	k.locate = [](void *const *pages, size_t count, int *at) {
		return installed->locate(pages, count, at);
	};
	k.processor = []() { return 0u; };
	k.kept_from = [](unsigned) { return false; };
	k.address_limit = []() { return installed->address_limit; };
	k.pressure = []() { return installed->short_of_memory.load(); };
	k.near_limit = k.pressure;
	k.now = []() { return installed->clock.load(); };
	k.processor_time = k.now;
	return k;
}

const struct kernel hooks = make_hooks();

// Where reservations are placed: free in every process, and known to ThreadSanitizer.
char *const FIRST_PLACE = reinterpret_cast<char *>(0x7e9000000000);
char *const LAST_PLACE = reinterpret_cast<char *>(0x7ec000000000);

size_t real_page()
{
	static const size_t bytes = size_t(sysconf(_SC_PAGESIZE));

	return bytes;
}

char *round_down(const void *p, size_t step)
{
	return reinterpret_cast<char *>(uintptr_t(p) & ~uintptr_t(step - 1));
}

char *round_up(const void *p, size_t step)
{
	return round_down(static_cast<const char *>(p) + step - 1, step);
}

// Memory of the host's under a range, never huge there whatever the host's settings are.
bool place(char *addr, size_t bytes, int protection)
{
	void *p = mmap(addr, bytes, protection,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		return false;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return true;
}

// May look at a page that a test's thread is writing to, as the kernel may.
__attribute__((no_sanitize("thread"))) bool is_zero(const char *page, size_t bytes)
{
	const uint64_t *word = reinterpret_cast<const uint64_t *>(page);

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		if (word[i])
			return false;
	return true;
}

} // namespace

Kernel::Kernel(size_t page, size_t unit) : next_place(FIRST_PLACE)
{
	if (installed)
		ADD_FAILURE() << "two fake kernels at once";
	saved_machine = machine;
	installed = this;
	kernel = &hooks;
	machine_set(page, unit);
	machine.pmd_known = true;
	zones_reset();
	memset(&stats, 0, sizeof(stats));
	demand = {};
}

Kernel::~Kernel()
{
	zones_reset();
	for (auto &entry : regions)
		munmap(entry.second->base, entry.second->bytes);
	machine = saved_machine;
	kernel = &kernel_linux;
	installed = nullptr;
}

Kernel &Kernel::current()
{
	return *installed;
}

// ---- what was called, what fails ----

size_t Kernel::count(Call call) const
{
	std::lock_guard<std::mutex> hold(mutex);

	return counts[call];
}

std::vector<Event> Kernel::events(Call call) const
{
	std::lock_guard<std::mutex> hold(mutex);
	std::vector<Event> some;

	for (const Event &event : log)
		if (call == ANY || event.call == call)
			some.push_back(event);
	return some;
}

void Kernel::forget_events()
{
	std::lock_guard<std::mutex> hold(mutex);

	log.clear();
	std::fill(std::begin(counts), std::end(counts), 0);
}

void Kernel::fail(Call call, size_t nth, int error, size_t times)
{
	std::lock_guard<std::mutex> hold(mutex);

	failing = call;
	fail_in = nth;
	fail_times = times;
	fail_error = error;
	has_failed = false;
}

void Kernel::fail_nothing()
{
	std::lock_guard<std::mutex> hold(mutex);

	fail_times = 0;
}

bool Kernel::failed() const
{
	std::lock_guard<std::mutex> hold(mutex);

	return has_failed;
}

// Record a call, and decide whether it fails.  Called with the lock held.
int Kernel::enter(const Event &event)
{
	enum { LONGEST_LOG = 100000 };
	int error = 0;
	// What fills the hole that a failed move left needs nothing that was not there before.
	bool fills_hole = event.call == REMAP && !page_at(event.addr).mapped;

	if (fail_times && !fills_hole && (failing == ANY || failing == event.call)) {
		if (fail_in > 1) {
			fail_in--;
		} else {
			fail_times--;
			has_failed = true;
			error = fail_error;
		}
	}
	counts[event.call]++;
	counts[ANY]++;
	if (log.size() < LONGEST_LOG) {
		log.push_back(event);
		log.back().error = error;
	}
	return error;
}

#define ENTER(...)                                                                                 \
	const Event event_ = {__VA_ARGS__};                                                        \
	if (auto now = during) /* a copy: it may set another */                                    \
		now(event_);                                                                       \
	std::lock_guard<std::mutex> hold(mutex);                                                   \
	int error = enter(event_)

// ---- addresses ----

size_t Kernel::pages_per_unit() const
{
	return machine.unit / machine.page;
}

char *Kernel::address(const Region &region, size_t page) const
{
	return region.base + page * machine.page;
}

Kernel::Region *Kernel::region_of(const void *addr) const
{
	const char *p = static_cast<const char *>(addr);
	auto next = regions.upper_bound(p);

	if (next == regions.begin())
		return nullptr;
	Region *region = std::prev(next)->second.get();
	return p < address(*region, region->pages.size()) ? region : nullptr;
}

// Aligned as the kernel wants it: the address to a page, the length rounded up.
Kernel::Span Kernel::span(const void *addr, size_t bytes) const
{
	Region *region = region_of(addr);

	if (!region) {
		ADD_FAILURE() << addr << " lies in no reservation";
		return {nullptr, 0, 0};
	}
	size_t offset = size_t(static_cast<const char *>(addr) - region->base);
	size_t first = offset / machine.page;
	size_t end = (offset + bytes + machine.page - 1) / machine.page;
	if (offset % machine.page || end > region->pages.size()) {
		ADD_FAILURE() << addr << "+" << bytes
			      << " is not aligned or leaves its reservation";
		return {nullptr, 0, 0};
	}
	return {region, first, end};
}

Kernel::Page &Kernel::page_at(const void *addr) const
{
	Span s = span(round_down(addr, machine.page), machine.page);
	static Page none;

	return s.region ? s.region->pages[s.first] : none;
}

// Call f(unit, first, end, whole) for the part of each unit that a span covers.
template <typename F> void Kernel::each_unit(const Span &s, F f)
{
	size_t per_unit = pages_per_unit();

	for (size_t at = s.first; at < s.end;) {
		size_t unit = at / per_unit, end = std::min(s.end, (unit + 1) * per_unit);

		f(unit, at, end, end - at == per_unit);
		at = end;
	}
}

// ---- the model of huge pages ----

bool Kernel::Page::same_vma(const Page &other) const
{
	return mapped == other.mapped && usable == other.usable && locked == other.locked &&
	       advice == other.advice && vma == other.vma && name == other.name;
}

size_t Kernel::really_resident(const Region &region, size_t first, size_t end) const
{
	size_t per_page = machine.page / real_page(), pages = 0;
	std::vector<unsigned char> seen((end - first) * per_page);

	if (mincore(address(region, first), (end - first) * machine.page, seen.data()))
		ADD_FAILURE() << "mincore: " << strerror(errno);
	for (size_t i = 0; i < end - first; i++)
		pages += std::any_of(&seen[i * per_page], &seen[i * per_page] + per_page,
		                     [](unsigned char c) { return c & 1; });
	return pages;
}

// Whether a unit is one usable VMA.
bool Kernel::uniform(const Region &region, size_t unit) const
{
	const Page *page = &region.pages[unit * pages_per_unit()];

	for (size_t i = 1; i < pages_per_unit(); i++)
		if (!page[i].same_vma(page[0]))
			return false;
	return page->mapped && page->usable;
}

bool Kernel::could_be_huge(const Region &region, size_t unit) const
{
	return region.pages[unit * pages_per_unit()].advice == HUGE_PAGES && uniform(region, unit);
}

// Find out what touching an empty unit made of it, before the circumstances change.
void Kernel::settle(Region &region, size_t unit)
{
	size_t first = unit * pages_per_unit();

	if (region.units[unit].state == EMPTY &&
	    really_resident(region, first, first + pages_per_unit()))
		region.units[unit].state = could_be_huge(region, unit) ? WHOLE : BASE;
}

void Kernel::settle(const Span &s)
{
	each_unit(s, [&](size_t unit, size_t, size_t, bool) { settle(*s.region, unit); });
}

void Kernel::count_kept(const Unit &unit, int sign)
{
	if (unit.owned)
		used += size_t(sign);
	else if (unit.dirty)
		kept += size_t(sign);
}

// A whole unit is without memory from now on.
void Kernel::empty(Region &region, size_t unit)
{
	Unit &u = region.units[unit];

	count_kept(u, -1);
	u.state = EMPTY;
	u.dirty = u.owned != 0;
	u.torn = false;
	count_kept(u, 1);
}

// The memory of a span is on its way out.
void Kernel::lose(const Span &s, const char *what)
{
	for (size_t i = s.first; i < s.end; i++)
		if (s.region->pages[i].owned) {
			ADD_FAILURE() << what << " of memory in use at "
				      << static_cast<void *>(address(*s.region, i));
			break;
		}
	settle(s);
	each_unit(s, [&](size_t unit, size_t, size_t, bool whole) {
		Unit &u = s.region->units[unit];

		if (whole) {
			empty(*s.region, unit);
		} else if (u.state == WHOLE) {
			ADD_FAILURE() << "deferred split: " << what << " of part of a huge page";
			deferred++;
			u.torn = true;
			u.state = BASE;
		}
	});
}

// VMA flags of a span are about to change: where that cuts a huge page, its mapping is split (K2).
void Kernel::change_flags(const Span &s)
{
	settle(s);
	each_unit(s, [&](size_t unit, size_t, size_t, bool whole) {
		Unit &u = s.region->units[unit];

		if (!whole && u.state == WHOLE) {
			pmds++;
			u.state = BASE;
		}
	});
}

int Kernel::all_mapped(const Span &s) const
{
	for (size_t i = s.first; i < s.end; i++)
		if (!s.region->pages[i].mapped)
			return ENOMEM;
	return 0;
}

// ---- the calls ----

// Map whole units around what was asked for.  The address may be as bad as the contract allows, but
// is the same in every run, so that a seed repeats a failure.
Kernel::Region *Kernel::map_region(void *hint, size_t bytes, char **start)
{
	std::unique_ptr<Region> region(new Region);
	auto map = [&](char *at) {
		char *begin = round_down(at, machine.unit);
		size_t all = size_t(round_up(at + bytes, machine.unit) - begin);

		*start = at;
		region->base = begin;
		region->bytes = all;
		return mmap(begin, all, PROT_NONE,
		            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		            0) == begin;
	};
	bool done = hint && map(static_cast<char *>(hint));

	while (!done && next_place < LAST_PLACE) {
		done = map(next_place + (places_aligned ? 0 : machine.page));
		next_place = round_up(*start + bytes, machine.unit) + machine.unit;
	}
	if (!done)
		return nullptr;
	madvise(region->base, region->bytes, MADV_NOHUGEPAGE);
	region->pages.resize(region->bytes / machine.page);
	region->units.resize(region->bytes / machine.unit);
	char *base = region->base;
	return (regions[base] = std::move(region)).get();
}

void *Kernel::reserve(void *hint, size_t bytes)
{
	ENTER(RESERVE, static_cast<char *>(hint), bytes, nullptr, 0);
	char *start = nullptr;

	if (error || !bytes || bytes > address_limit - std::min(address_limit, reserved))
		return nullptr;
	if (!map_region(hint, bytes, &start))
		return nullptr;
	reserved += bytes;
	Span s = span(start, bytes);
	for (size_t i = s.first; i < s.end; i++)
		s.region->pages[i].mapped = true;
	return start;
}

// The address space stays the fake's, so that nothing else can come to lie there.
int Kernel::unreserve(void *addr, size_t bytes)
{
	ENTER(UNRESERVE, static_cast<char *>(addr), bytes, nullptr, 0);
	Span s = span(addr, bytes);

	if (error || !s.region)
		return error ? error : EINVAL;
	lose(s, "unreserve");
	reserved -= bytes;
	for (size_t i = s.first; i < s.end; i++) {
		if (!s.region->pages[i].mapped)
			ADD_FAILURE() << "unreserves what is not reserved";
		s.region->pages[i] = {};
	}
	place(address(*s.region, s.first), (s.end - s.first) * machine.page, PROT_NONE);
	return 0;
}

int Kernel::make_usable(void *addr, size_t bytes)
{
	ENTER(MAKE_USABLE, static_cast<char *>(addr), bytes, nullptr, 0);
	Span s = span(addr, bytes);

	if (error || !s.region)
		return error ? error : EINVAL;
	if ((error = all_mapped(s)))
		return error;
	if (made_usable + bytes > usable_limit)
		return ENOMEM;
	made_usable += bytes;
	change_flags(s);
	for (size_t i = s.first; i < s.end; i++)
		s.region->pages[i].usable = true;
	return mprotect(addr, (s.end - s.first) * machine.page, PROT_READ | PROT_WRITE) ? errno : 0;
}

int Kernel::advise(Call call, void *addr, size_t bytes)
{
	ENTER(call, static_cast<char *>(addr), bytes, nullptr, 0);
	Span s = span(addr, bytes);

	if (error || !s.region)
		return error ? error : EINVAL;
	change_flags(s);
	for (size_t i = s.first; i < s.end; i++)
		if (s.region->pages[i].mapped)
			s.region->pages[i].advice = call == ADVISE_HUGE ? HUGE_PAGES : BASE_PAGES;
	return all_mapped(s);
}

int Kernel::give_back(void *addr, size_t bytes)
{
	ENTER(GIVE_BACK, static_cast<char *>(addr), bytes, nullptr, 0);
	Span s = span(addr, bytes);

	if (error || !s.region)
		return error ? error : EINVAL;
	for (size_t i = s.first; i < s.end; i++)
		if (s.region->pages[i].locked)
			return EINVAL;
	lose(s, "give_back");
	madvise(addr, (s.end - s.first) * machine.page, MADV_DONTNEED);
	return all_mapped(s);
}

// Splitting a huge page frees the base pages in it that hold only zeros.
void Kernel::free_zero_pages(Region &region, size_t unit)
{
	size_t first = unit * pages_per_unit();

	// Not what a test owns: it may write there between our look and our call.
	for (size_t i = first; i < first + pages_per_unit(); i++)
		if (!region.pages[i].owned && really_resident(region, i, i + 1) &&
		    is_zero(address(region, i), machine.page))
			madvise(address(region, i), machine.page, MADV_DONTNEED);
}

// A folio that a child shares is not split, and that is no error.
int Kernel::split(void *addr)
{
	ENTER(SPLIT, static_cast<char *>(addr), machine.unit, nullptr, 0);
	Span s = span(addr, machine.unit);

	if (error || !s.region)
		return error ? error : EINVAL;
	if ((error = all_mapped(s)))
		return error;
	for (size_t i = s.first; i < s.end; i++)
		if (s.region->pages[i].locked)
			return EINVAL;
	if (s.region->pages[s.first].advice != BASE_PAGES)
		ADD_FAILURE() << "split without MADV_NOHUGEPAGE first: khugepaged may undo it (K1)";
	settle(s);
	size_t unit = s.first / pages_per_unit();
	if (s.region->units[unit].state == WHOLE && !s.region->units[unit].shared) {
		s.region->units[unit].state = BASE;
		free_zero_pages(*s.region, unit);
		split_count++;
	}
	return 0;
}

int Kernel::collapse(void *unit)
{
	ENTER(COLLAPSE, static_cast<char *>(unit), machine.unit, nullptr, 0);
	Span s = span(unit, machine.unit);

	if (error || !s.region)
		return error ? error : EINVAL;
	if (uintptr_t(unit) % machine.unit)
		ADD_FAILURE() << "collapse of something that is not a unit";
	size_t index = s.first / pages_per_unit();
	settle(s);
	if (s.region->units[index].state == WHOLE)
		return 0;
	if (s.region->units[index].state == EMPTY || !uniform(*s.region, index) ||
	    s.region->pages[s.first].advice == BASE_PAGES)
		return EINVAL;
	s.region->units[index].state = WHOLE;
	collapse_count++;
	return 0;
}

// Before 6.17 the source must be one VMA.  That is found out only when the destination has been
// unmapped already.
bool Kernel::movable(const Span &from, const Span &to) const
{
	const Page &first = from.region->pages[from.first];

	if (all_mapped(to))
		return false;
	return std::all_of(&from.region->pages[from.first], &from.region->pages[from.end - 1] + 1,
	                   [&](const Page &page) { return page.mapped && page.same_vma(first); });
}

void Kernel::move_pages(const Span &from, const Span &to)
{
	size_t units = (from.end - from.first) / pages_per_unit();
	size_t source = from.first / pages_per_unit(), target = to.first / pages_per_unit();

	moves++;
	for (size_t i = 0; i < from.end - from.first; i++) {
		bool owned = to.region->pages[to.first + i].owned;

		to.region->pages[to.first + i] = from.region->pages[from.first + i];
		to.region->pages[to.first + i].owned = owned;
		to.region->pages[to.first + i].vma = moves;
	}
	for (size_t i = 0; i < units; i++) {
		Unit &u = from.region->units[source + i];

		to.region->units[target + i].state = u.state;
		to.region->units[target + i].torn = u.torn;
		u.state = EMPTY;
		u.torn = false;
	}
}

int Kernel::move(void *from, size_t bytes, void *to)
{
	ENTER(MOVE, static_cast<char *>(from), bytes, static_cast<char *>(to), 0);
	Span source = span(from, bytes), target = span(to, bytes);

	if (error || !source.region || !target.region)
		return error ? error : EINVAL;
	if ((uintptr_t(from) | uintptr_t(to) | bytes) % machine.unit)
		ADD_FAILURE() << "move of something that is not whole units: all are split (K3)";
	settle(source);
	lose(target, "move on top");
	if (!movable(source, target)) {
		for (size_t i = target.first; i < target.end; i++)
			target.region->pages[i].mapped = target.region->pages[i].usable = false;
		place(static_cast<char *>(to), bytes, PROT_NONE);
		return EFAULT;
	}
	move_pages(source, target);
	if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) ==
	    MAP_FAILED) {
		place(static_cast<char *>(to), bytes, PROT_READ | PROT_WRITE);
		memcpy(to, from, bytes);
		madvise(from, bytes, MADV_DONTNEED);
	}
	return 0;
}

int Kernel::remap(void *addr, size_t bytes)
{
	ENTER(REMAP, static_cast<char *>(addr), bytes, nullptr, 0);
	Span s = span(addr, bytes);

	if (error || !s.region)
		return error ? error : EINVAL;
	if ((uintptr_t(addr) | bytes) % machine.unit)
		ADD_FAILURE() << "remap of something that is not whole units";
	lose(s, "remap");
	for (size_t i = s.first; i < s.end; i++) {
		bool owned = s.region->pages[i].owned;

		s.region->pages[i] = {};
		s.region->pages[i].mapped = s.region->pages[i].usable = true;
		s.region->pages[i].owned = owned;
	}
	return place(static_cast<char *>(addr), bytes, PROT_READ | PROT_WRITE) ? 0 : ENOMEM;
}

int Kernel::survey(void *addr, size_t count, struct kernel_unit *seen)
{
	ENTER(SURVEY, static_cast<char *>(addr), count * machine.unit, nullptr, 0);
	Span s = span(addr, count * machine.unit);

	if (error || !s.region)
		return error ? error : EINVAL;
	settle(s);
	each_unit(s, [&](size_t unit, size_t first, size_t end, bool) {
		size_t pages = really_resident(*s.region, first, end);

		seen->huge = s.region->units[unit].state == WHOLE;
		seen->resident =
			unsigned((pages * machine.page + machine.grain - 1) / machine.grain);
		if (seen->huge)
			seen->resident = unsigned(machine.unit / machine.grain);
		seen++;
	});
	return 0;
}

bool Kernel::exclusive(void *unit)
{
	ENTER(EXCLUSIVE, static_cast<char *>(unit), machine.unit, nullptr, 0);
	Span s = span(unit, machine.unit);

	return !error && s.region && !s.region->units[s.first / pages_per_unit()].shared;
}

int Kernel::put_on(void *addr, size_t bytes, const struct placement *where)
{
	ENTER(PLACE, static_cast<char *>(addr), bytes, nullptr, 0);
	Span s = span(addr, bytes);

	if (error || !s.region)
		return error ? error : EINVAL;
	s.region->where = *where;
	return where->mode == placement::PLACE_INTERLEAVED || where->node < nodes ? 0 : EINVAL;
}

struct placement Kernel::placement(const void *addr) const
{
	std::lock_guard<std::mutex> hold(mutex);
	Region *region = region_of(addr);

	return region ? region->where : (struct placement){};
}

// As the VMAs of a range have one name each, of its pages all or none may have one.
void Kernel::give_name(void *addr, size_t bytes, const char *name)
{
	std::lock_guard<std::mutex> hold(mutex);
	Span s = span(addr, bytes);

	ASSERT_TRUE(s.region) << "no reservation";
	for (size_t i = s.first; i < s.end; i++)
		s.region->pages[i].name = name;
}

const char *Kernel::name(const void *page) const
{
	std::lock_guard<std::mutex> hold(mutex);
	Region *region = region_of(page);

	return region ? region->pages[span(const_cast<void *>(page), machine.page).first].name : nullptr;
}

int Kernel::populate(void *addr, size_t bytes)
{
	ENTER(POPULATE, static_cast<char *>(addr), bytes, nullptr, 0);

	for (size_t at = 0; !error && at < bytes; at += machine.page)
		*(static_cast<volatile char *>(addr) + at) += 0;
	return error;
}

// Placed as if all of it had been touched by threads of `node`.
int Kernel::node_of(const Region &region, size_t page) const
{
	switch (region.where.mode) {
	case placement::PLACE_ANYWHERE:
		return int(node);
	case placement::PLACE_INTERLEAVED:
		return int(page / pages_per_unit() % nodes);
	default:
		return int(region.where.node);
	}
}

int Kernel::locate(void *const *pages, size_t count, int *at)
{
	ENTER(LOCATE, static_cast<char *>(*pages), count * machine.page, nullptr, 0);

	for (size_t i = 0; !error && i < count; i++) {
		Span s = span(pages[i], machine.page);

		if (!s.region)
			return EINVAL;
		settle(s);
		bool there = s.region->units[s.first / pages_per_unit()].state == WHOLE ||
		             really_resident(*s.region, s.first, s.end);
		at[i] = there ? node_of(*s.region, s.first) : -ENOENT;
	}
	return error;
}

size_t Kernel::resident(void *addr, size_t bytes)
{
	ENTER(RESIDENT, static_cast<char *>(addr), bytes, nullptr, 0);
	size_t pages = 0;

	if (!bytes)
		return 0;
	Span s = span(addr, bytes);
	if (error || !s.region || all_mapped(s))
		return SIZE_MAX;
	settle(s);
	each_unit(s, [&](size_t unit, size_t first, size_t end, bool) {
		pages += s.region->units[unit].state == WHOLE
		                 ? end - first
		                 : really_resident(*s.region, first, end);
	});
	return pages * machine.page;
}

// ---- who owns what ----

void Kernel::own(const void *addr, size_t bytes)
{
	std::lock_guard<std::mutex> hold(mutex);
	Span s = span(addr, bytes);
	bool overlap = false, unusable = false;

	if (!s.region)
		return;
	each_unit(s, [&](size_t unit, size_t first, size_t end, bool) {
		Unit &u = s.region->units[unit];

		count_kept(u, -1);
		for (size_t i = first; i < end; i++) {
			Page &page = s.region->pages[i];

			overlap |= page.owned;
			unusable |= !page.mapped || !page.usable;
			page.owned = true;
		}
		u.owned += uint32_t(end - first);
		u.dirty = true;
		count_kept(u, 1);
	});
	if (overlap)
		ADD_FAILURE() << addr << "+" << bytes << " is in use already";
	if (unusable)
		ADD_FAILURE() << addr << "+" << bytes << " cannot be used";
}

void Kernel::disown(const void *addr, size_t bytes)
{
	std::lock_guard<std::mutex> hold(mutex);
	Span s = span(addr, bytes);

	if (!s.region)
		return;
	each_unit(s, [&](size_t unit, size_t first, size_t end, bool) {
		Unit &u = s.region->units[unit];

		count_kept(u, -1);
		for (size_t i = first; i < end; i++) {
			if (!s.region->pages[i].owned)
				ADD_FAILURE() << "disowns what nobody owns";
			s.region->pages[i].owned = false;
		}
		u.owned -= uint32_t(end - first);
		count_kept(u, 1);
	});
}

bool Kernel::owned(const void *page) const
{
	std::lock_guard<std::mutex> hold(mutex);

	return page_at(page).owned;
}

size_t Kernel::used_units() const
{
	std::lock_guard<std::mutex> hold(mutex);

	return used;
}

size_t Kernel::kept_units() const
{
	std::lock_guard<std::mutex> hold(mutex);

	return kept;
}

// ---- what the kernel would say ----

bool Kernel::huge(const void *unit)
{
	std::lock_guard<std::mutex> hold(mutex);
	Span s = span(unit, machine.unit);

	if (!s.region)
		return false;
	settle(s);
	return s.region->units[s.first / pages_per_unit()].state == WHOLE;
}

Advice Kernel::advice(const void *page) const
{
	std::lock_guard<std::mutex> hold(mutex);

	return page_at(page).advice;
}

bool Kernel::usable(const void *page) const
{
	std::lock_guard<std::mutex> hold(mutex);

	return page_at(page).mapped && page_at(page).usable;
}

void Kernel::lock_pages(void *addr, size_t bytes)
{
	std::lock_guard<std::mutex> hold(mutex);
	Span s = span(addr, bytes);

	if (!s.region)
		return;
	change_flags(s);
	for (size_t i = s.first; i < s.end; i++)
		s.region->pages[i].locked = true;
}

void Kernel::share(void *unit, bool shared)
{
	std::lock_guard<std::mutex> hold(mutex);
	Span s = span(unit, machine.unit);

	if (s.region)
		s.region->units[s.first / pages_per_unit()].shared = shared;
}

size_t Kernel::khugepaged()
{
	std::lock_guard<std::mutex> hold(mutex);
	size_t done = 0;

	for (auto &entry : regions) {
		Region &region = *entry.second;

		for (size_t unit = 0; unit < region.units.size(); unit++) {
			size_t first = unit * pages_per_unit();

			settle(region, unit);
			if (region.units[unit].state != BASE || !could_be_huge(region, unit) ||
			    !really_resident(region, first, first + pages_per_unit()))
				continue;
			region.units[unit].state = WHOLE;
			done++;
		}
	}
	return done;
}

size_t Kernel::charged()
{
	std::lock_guard<std::mutex> hold(mutex);
	size_t pages = 0;

	for (auto &entry : regions) {
		Region &region = *entry.second;

		for (size_t unit = 0; unit < region.units.size(); unit++) {
			size_t first = unit * pages_per_unit();

			settle(region, unit);
			if (region.units[unit].state == WHOLE || region.units[unit].torn)
				pages += pages_per_unit();
			else
				pages += really_resident(region, first, first + pages_per_unit());
		}
	}
	return pages * machine.page;
}

size_t Kernel::vmas(const void *addr) const
{
	std::lock_guard<std::mutex> hold(mutex);
	Region *region = region_of(addr);
	size_t n = 0;

	if (!region)
		return 0;
	for (size_t i = 0; i < region->pages.size(); i++)
		n += region->pages[i].mapped &&
		     (!i || !region->pages[i].same_vma(region->pages[i - 1]));
	return n;
}

size_t Kernel::deferred_splits() const
{
	std::lock_guard<std::mutex> hold(mutex);

	return deferred;
}

size_t Kernel::split_pmds() const
{
	std::lock_guard<std::mutex> hold(mutex);

	return pmds;
}

size_t Kernel::splits() const
{
	std::lock_guard<std::mutex> hold(mutex);

	return split_count;
}

size_t Kernel::collapses() const
{
	std::lock_guard<std::mutex> hold(mutex);

	return collapse_count;
}

} // namespace fake
