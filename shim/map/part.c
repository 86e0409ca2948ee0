#include "map/part.h"

#include <sys/mman.h> /* MADV_*: no call is made from here */

#include "kernel/mapping.h"
#include "report/stats.h"

bool span_of(struct span *s, const void *addr, size_t bytes)
{
	size_t rounded = (bytes + machine.page - 1) & -machine.page;

	s->start = (uintptr_t)addr;
	return !(s->start & (machine.page - 1)) && rounded && rounded >= bytes &&
	       !__builtin_add_overflow(s->start, rounded, &s->end);
}

static uintptr_t unit_start(uintptr_t address)
{
	return address & -machine.unit;
}

/* ---- pads ---- */

uintptr_t span_with_pad(struct span s)
{
	return note_pad(s.end - 1) == s.end ? unit_start(s.end) + machine.unit : s.end;
}

uintptr_t span_pad(struct span s)
{
	return is_whole(s.end) ? note_pad(s.end - 1) : 0;
}

/* What a huge page holds of both must come apart first. */
void pad_drop(uintptr_t address)
{
	uintptr_t pad = note_pad(address);
	struct span s = {pad, unit_start(address) + machine.unit};

	if (!pad)
		return;
	note_forget_pad(address);
	span_cut(s);
	kernel_map->munmap((void *)s.start, span_bytes(s));
}

void span_without_pads(struct span s)
{
	for (uintptr_t unit = unit_start(s.start); unit < s.end && unit >= unit_start(s.start);
	     unit = note_next(unit)) {
		uintptr_t pad = note_pad(unit);

		if (pad && pad < s.end && s.start < unit + machine.unit)
			pad_drop(unit);
	}
}

/* ---- cuts ---- */

/* MADV_COLD on the one page, on the side that goes: every large folio that lies across the cut
 * holds it.  (Whether the kernel maps the folio by one entry says nothing: mprotect on a page of it
 * ends that, and it is whole all the same.) */
static void cut(uintptr_t at, uintptr_t page)
{
	note_word note = note_get(at);

	if (is_whole(at) || !(note & NOTE_PLACED) || note & NOTE_BASE)
		return;
	kernel_map->madvise((void *)page, machine.page, MADV_COLD);
	stat_add(map_cuts, 1);
}

void span_cut(struct span s)
{
	cut(s.start, s.start);
	cut(s.end, s.end - machine.page);
}

/* Is there anything in the unit to keep on base pages?  If the kernel cannot say: yes. */
static bool is_empty(uintptr_t unit)
{
	struct kernel_unit now;

	return !kernel->survey((void *)unit, 1, &now) && !now.resident;
}

/* The advice goes first, else khugepaged puts the unit together again half-way (K1). */
static bool keep_on_base_pages(uintptr_t at)
{
	uintptr_t unit = unit_start(at);
	note_word note = note_get(at);

	if (is_whole(at) || !(note & NOTE_PLACED) || note & (NOTE_BASE | NOTE_OWN))
		return false;
	if (!notes_base_room() || is_empty(unit))
		return false;
	if (!kernel_map->madvise((void *)unit, machine.unit, MADV_NOHUGEPAGE))
		return true;
	/* A hole in the unit: it will not be put together again anyway.  What there is of it must
	 * not differ from its neighbours, for mremap. */
	kernel_map->madvise((void *)unit, machine.unit, MADV_HUGEPAGE);
	return false;
}

void span_cut_for_good(struct span s)
{
	bool first = keep_on_base_pages(s.start), last = keep_on_base_pages(s.end);

	span_cut(s);
	if (first)
		note_set_base(s.start);
	if (last)
		note_set_base(s.end);
}

void span_mend(struct span s)
{
	uintptr_t unit = unit_start(s.start + machine.unit - 1);

	for (; unit < unit_start(s.end); unit = note_next(unit))
		if (note_clear_base(unit))
			kernel_map->madvise((void *)unit, machine.unit, MADV_HUGEPAGE);
}

void span_join(struct span s)
{
	span_mend((struct span){unit_start(s.start), unit_start(s.end + machine.unit - 1)});
}
