/* place.c: mmap. */
#include "map/place.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h> /* MAP_*, PROT_*, MADV_*: no call is made from here */

#include "kernel/mapping.h"
#include "kernel/sysfs.h"
#include "map/map.h"
#include "map/packing.h"
#include "map/row.h"
#include "options.h"
#include "report/stats.h"
#include "site/learn.h"
#include "site/plan.h"
#include "site/site.h"

/* Beyond this a program is placing its memory itself. */
#define LARGEST (1ul << 40)
/* A placed mapping does not always share its VMA with its neighbours, as it would if the kernel had
 * placed it.  The kernel's default for all VMAs is 65530; a quarter is for this. */
enum { MOST_MAPPINGS = 16000 };

bool map_active;

void map_init(void)
{
	char word[16];

	map_active =
		options.map && options.huge &&
		(!sysfs_choice(SYSFS_THP "enabled", word, sizeof(word)) || strcmp(word, "never")) &&
		notes_init();
}

/* ---- places ---- */

uintptr_t padded_end(uintptr_t end)
{
	uintptr_t full = (end + machine.unit - 1) & -machine.unit;
	size_t waste = full - end;

	/* A pad is noted in grains. */
	return waste <= machine.unit / 100 * options.pad && !(waste & (machine.grain - 1)) ? full
	                                                                                   : end;
}

static uintptr_t reserve(size_t bytes, int flags)
{
	long p = kernel_map->mmap(NULL, bytes, PROT_NONE, flags, -1, 0);

	return p < 0 ? 0 : (uintptr_t)p;
}

static void unmap(uintptr_t start, uintptr_t end)
{
	if (end > start)
		kernel_map->munmap((void *)start, end - start);
}

/* The kernel aligns by itself what is a multiple of a unit (>= 6.7, K3). */
static uintptr_t reserve_at(size_t bytes, size_t offset, int flags)
{
	size_t whole = (bytes + machine.unit - 1) & -machine.unit;
	uintptr_t got = offset ? 0 : reserve(whole, flags);

	if (got && is_whole(got)) {
		unmap(got + bytes, got + whole);
		return got;
	}
	unmap(got, got ? got + whole : 0);
	whole += machine.unit;
	got = reserve(whole, flags);
	if (!got)
		return 0;
	uintptr_t start = got + ((offset - got) & (machine.unit - 1));
	unmap(got, start);
	unmap(start + bytes, got + whole);
	return start;
}

uintptr_t reserve_place(size_t bytes, size_t offset, int flags)
{
	uintptr_t start = reserve_at(bytes, offset, flags);

	if (start) /* what was noted there is out of date */
		notes_disown(start, start + bytes);
	return start;
}

static void advise(struct span s)
{
	if (kernel_map->madvise((void *)s.start, span_bytes(s), MADV_HUGEPAGE))
		stat_add(advice_failures, 1);
}

static void note(struct span s, uintptr_t end)
{
	if (!notes_place(s.start, s.end, end == s.end ? 0 : end) && end != s.end)
		unmap(end, s.end);
}

void placed(struct span s, uintptr_t end)
{
	note(s, end);
	advise(s);
}

/* ---- plans ---- */

/* Where a rule wants base pages, the advice is the program's own, as it were: nothing of ours
 * follows. */
static void advise_base(struct span s)
{
	notes_own(s.start, s.end);
	kernel_map->madvise((void *)s.start, span_bytes(s), MADV_NOHUGEPAGE);
}

static void follow(const struct plan *plan, struct span s)
{
	struct placement where = plan_placement(plan);

	if (plan->name[0])
		kernel->name((void *)s.start, span_bytes(s), plan->name);
	if (plan->pages == PAGES_BASE)
		advise_base(s);
	if (where.mode != PLACE_ANYWHERE && kernel->place((void *)s.start, span_bytes(s), &where))
		stat_add(place_failures, 1);
}

/* ---- population ---- */

/* MAP_POPULATE itself comes before the advice, and would fill the mapping with base pages (K2).
 * Like it, this reports no failure. */
static void populate(struct span s, int protection)
{
	kernel->populate((void *)s.start, span_bytes(s), protection & PROT_WRITE);
}

static int without_populate(int flags)
{
	return flags & ~MAP_POPULATE;
}

/* ---- new mappings ---- */

static bool is_big_and_plain(size_t bytes, int protection, int flags)
{
	const int accesses = PROT_READ | PROT_WRITE | PROT_EXEC;
	const int known = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE;

	return bytes >= machine.unit && bytes <= LARGEST && !(flags & ~known) &&
	       !(protection & ~accesses) &&
	       (flags & (MAP_PRIVATE | MAP_ANONYMOUS)) == (MAP_PRIVATE | MAP_ANONYMOUS) &&
	       notes_mappings() < MOST_MAPPINGS;
}

/* Reserved without access and then opened, because a MAP_FIXED over the reservation that fails may
 * have unmapped it first, and another thread may have taken its place.  Returns a negative errno
 * value if it is not to be had. */
static long place(size_t bytes, int protection, int flags, const struct plan *plan)
{
	size_t rounded = (bytes + machine.page - 1) & -machine.page;
	struct span s;

	s.start = reserve_place(padded_end(rounded), 0, without_populate(flags));
	s.end = s.start + padded_end(rounded);
	if (!s.start)
		return -ENOMEM;
	if (protection && kernel_map->mprotect((void *)s.start, span_bytes(s), protection)) {
		unmap(s.start, s.end);
		return -ENOMEM;
	}
	placed(s, s.start + rounded);
	stat_add(map_placed, 1);
	if (plan)
		follow(plan, s);
	if (flags & MAP_POPULATE || (plan && plan->populate == SWITCH_ON))
		populate((struct span){s.start, s.start + rounded}, protection);
	return (long)s.start;
}

/* ---- mappings over others ---- */

static bool is_anonymous(int flags)
{
	const int other = MAP_SHARED | MAP_STACK | MAP_GROWSDOWN | MAP_HUGETLB | MAP_LOCKED;

	return flags & MAP_ANONYMOUS && !(flags & other);
}

/* A program that commits or gives up part of what it reserved: memory of the same kind, so it gets
 * the same advice, and the kernel can merge it with its neighbours. */
static long map_over(struct span s, int protection, int flags, int fd, long offset)
{
	bool same = is_anonymous(flags) && (note_advised(s.start) || note_advised(s.end - 1));
	int populated = same ? flags & MAP_POPULATE : 0;

	if (flags & MAP_FIXED) {
		span_cut(s);
		if (note_pad(s.end - 1) == s.end)
			pad_drop(s.end - 1);
	}
	long result = kernel_map->mmap((void *)s.start, span_bytes(s), protection,
	                               flags & ~populated, fd, offset);
	if (result != (long)s.start)
		return result;
	if (same) {
		advise(s);
		span_mend(s);
	} else {
		notes_forget(s.start, s.end);
	}
	if (populated)
		populate(s, protection);
	return result;
}

/* The kernel chose the place.  If we noted something there, it is out of date. */
long not_placed(long result, size_t bytes)
{
	struct span s;

	if (result >= 0 && span_of(&s, (void *)result, bytes) && span_noted(s))
		notes_disown(s.start, s.end);
	return result;
}

static bool is_packable(const void *addr, size_t bytes, int protection, int flags)
{
	return !addr && protection == (PROT_READ | PROT_WRITE) &&
	       flags == (MAP_PRIVATE | MAP_ANONYMOUS) && notes_mappings() < MOST_MAPPINGS &&
	       packing_wants(bytes);
}

static bool may_share_unit(const struct plan *plan)
{
	return !plan || (plan->pages != PAGES_BASE && !plan->node_mode && !plan->name[0]);
}

static struct reservation reservation_of(const void *addr, size_t bytes, const void *caller)
{
	return (struct reservation){(uintptr_t)addr, (bytes + machine.page - 1) & -machine.page,
	                            caller};
}

/* With more than it needs, at a hint that does not matter to it: see aligner.h.  A really big one
 * may be a reservation for code, or be carved up by the program. */
static long place_aligned(const void *addr, size_t bytes, int protection, int flags,
                          const void *caller, const struct plan *plan)
{
	struct reservation r = reservation_of(addr, bytes, caller);
	size_t align = aligner_like(&r, protection, flags) ? aligner_proven(&r) : 0;

	if (!align || notes_mappings() >= MOST_MAPPINGS)
		return -1;
	if (r.bytes >= machine.unit && r.bytes <= 32 * machine.unit)
		return place(r.bytes, protection, flags, plan);
	return row_wants(&r, align) && may_share_unit(plan) ? row_take(&r, align) : -1;
}

/* Where we want it; a negative value if the kernel shall decide. */
static long map_new(void *addr, size_t bytes, int protection, int flags, long offset,
                    const void *caller, const struct plan *plan)
{
	if (!map_active || offset & (long)(machine.page - 1))
		return -1;
	if (!addr && is_big_and_plain(bytes, protection, flags))
		return place(bytes, protection, flags, plan);
	if (addr)
		return place_aligned(addr, bytes, protection, flags, caller, plan);
	if (may_share_unit(plan) && is_packable(addr, bytes, protection, flags))
		return packing_take(bytes);
	return -1;
}

/* What a rule says of a mapping of anonymous memory, wherever it will lie.  Nothing if it has no
 * caller. */
static const struct plan *plan_of(size_t bytes, int flags, const void *caller)
{
	if (!caller || !(flags & MAP_ANONYMOUS) ||
	    flags & (MAP_STACK | MAP_GROWSDOWN | MAP_HUGETLB))
		return NULL;
	return site_plan((flags & MAP_TYPE) == MAP_PRIVATE ? SITE_MMAP : SITE_SHARED, bytes,
	                 caller);
}

/* The program named the place, and got it or another: if it is a whole unit, treat it as ours (the
 * Java heap). */
static void adopt(long result, size_t bytes, int protection, int flags)
{
	struct span s;

	if (result >= 0 && is_whole((uintptr_t)result) && !(flags & MAP_POPULATE) &&
	    is_big_and_plain(bytes, protection, flags) && span_of(&s, (void *)result, bytes))
		placed(s, s.end);
}

/* Whether shared memory is huge where it is advised: asked once, when it matters. */
static bool shared_may_be_huge(void)
{
	enum { UNKNOWN, YES, NO };
	static int known;
	char word[16];

	if (at_get(&known) == UNKNOWN)
		at_set(&known, sysfs_choice(SYSFS_THP "shmem_enabled", word, sizeof(word)) &&
		                               strcmp(word, "never") && strcmp(word, "deny")
		                       ? YES
		                       : NO);
	return at_get(&known) == YES;
}

/* Shared memory is a file's, where a huge page that is mapped in part stays whole in the file, so
 * there is nothing to note.  The kernel aligns it by itself where it may be huge at all.  (A file
 * that is not in memory takes no notice of the advice.) */
static void advise_shared(long result, size_t bytes, int flags)
{
	struct span s;

	if (result >= 0 && bytes >= machine.unit && (flags & MAP_TYPE) == MAP_SHARED &&
	    shared_may_be_huge() && span_of(&s, (void *)result, bytes))
		advise(s);
}

/* A reservation that the kernel placed tells what its caller is after. */
static void watch(long result, const void *addr, size_t bytes, int protection, int flags,
                  const void *caller)
{
	struct reservation r = reservation_of(addr, bytes, caller);

	if (result >= 0 && aligner_like(&r, protection, flags))
		aligner_mapped(&r, (uintptr_t)result);
}

/* Where the kernel or the program chose. */
static long map_there(void *addr, size_t bytes, int protection, int flags, int fd, long offset,
                      const void *caller, const struct plan *plan)
{
	long result =
		not_placed(kernel_map->mmap(addr, bytes, protection, flags, fd, offset), bytes);
	struct span s;

	if (map_active)
		advise_shared(result, bytes, flags);
	if (map_active && addr) {
		adopt(result, bytes, protection, flags);
		watch(result, addr, bytes, protection, flags, caller);
	}
	if (plan && result >= 0 && span_of(&s, (void *)result, bytes))
		follow(plan, s);
	return result;
}

/* Memory in its own right, and not a part of what was mapped before. */
static bool is_block(int flags)
{
	return (flags & MAP_TYPE) == MAP_PRIVATE && is_anonymous(flags) &&
	       !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE));
}

long map_mmap(void *addr, size_t bytes, int protection, int flags, int fd, long offset,
              const void *caller)
{
	struct span s;

	if (map_active && flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (!span_of(&s, addr, bytes))
			return kernel_map->mmap(addr, bytes, protection, flags, fd, offset);
		if (rows_used && flags & MAP_FIXED)
			row_replaced(s);
		if (!span_noted(s))
			return kernel_map->mmap(addr, bytes, protection, flags, fd, offset);
		span_without_pads(s);
		return map_over(s, protection, flags, fd, offset);
	}
	const struct plan *plan = plan_of(bytes, flags, caller);
	long result = map_new(addr, bytes, protection, flags, offset, caller, plan);
	if (result < 0)
		result = map_there(addr, bytes, protection, flags, fd, offset, caller, plan);
	if (__builtin_expect(learn_active, 0) && result >= 0 && caller && is_block(flags))
		learn_born((void *)result, bytes);
	return result;
}
