/* resize.c: mremap. */
#include <errno.h>
#include <sys/mman.h> /* MREMAP_*, MADV_*: no call is made from here */

#include "kernel/mapping.h"
#include "map/map.h"
#include "map/place.h"
#include "report/stats.h"
#include "site/learn.h"

enum { RESERVE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

/* Note memory that moved or grew.  Its advice went with it. */
static void note_moved(struct span s, uintptr_t end, bool own)
{
	if (!notes_place(s.start, s.end, end == s.end ? 0 : end) && end != s.end)
		kernel_map->munmap((void *)end, s.end - end);
	if (own)
		notes_own(s.start, s.end);
}

static bool is_own(struct span s)
{
	return note_get(s.start) & NOTE_OWN;
}

static long remap(struct span from, size_t bytes, int flags, uintptr_t to)
{
	return kernel_map->mremap((void *)from.start, span_bytes(from), bytes, flags, (void *)to);
}

/* To where the kernel would have it.  If it was moved, what was noted of the old place stays, out
 * of date, since another thread may be there by now. */
static long remap_plainly(struct span from, size_t bytes, int flags)
{
	long result = remap(from, bytes, flags, 0);

	if (result < 0 || bytes <= span_bytes(from))
		return result;
	if (result != (long)from.start)
		return not_placed(result, bytes);
	notes_disown((from.end + machine.unit - 1) & -machine.unit, from.start + bytes);
	return result;
}

/* ---- to a place the program chose ---- */

/* Huge pages move as such only if source and destination lie alike in their units (K3).  Otherwise
 * the kernel takes them apart, and so it does with any others that lie across an end. */
static long move_to(struct span from, size_t bytes, int flags, uintptr_t at)
{
	struct span to = {at, at + bytes};
	bool ours = note_get(from.start) & NOTE_PLACED, own = is_own(from);

	if (!(flags & MREMAP_MAYMOVE))
		return remap(from, bytes, flags, at);
	span_without_pads(from);
	if (note_pad(from.end - 1) == from.end)
		pad_drop(from.end - 1);
	span_without_pads(to);
	if (note_pad(to.end - 1) == to.end)
		pad_drop(to.end - 1);
	span_join(from);
	span_cut(from);
	span_cut(to);
	notes_forget(to.start, to.end);
	if (!(flags & MREMAP_DONTUNMAP))
		notes_forget(from.start, from.end);
	long result = remap(from, bytes, flags, at);
	if (result >= 0 && ours)
		note_moved(to, to.end, own);
	return result;
}

/* ---- smaller ---- */

static long shrink(struct span from, size_t bytes, int flags)
{
	struct span gone = {from.start + bytes, from.end};

	span_without_pads(gone);
	gone.end = from.end = span_with_pad(gone);
	uintptr_t pad = span_pad(gone);
	span_cut(gone);
	notes_forget(gone.start, gone.end);
	if (pad)
		note_forget_pad(pad);
	long result = remap(from, bytes, flags, 0);
	if (result < 0 && pad)
		notes_place(pad & -machine.unit, gone.end, pad);
	return result;
}

/* ---- larger ---- */

/* The unit that the old end lay in was partly outside of the mapping, so it has base pages.  It is
 * whole now: make it huge, or each growth would leave one broken.  Fails, and that is fine, if
 * nothing in it was ever touched. */
static void join_tail(uintptr_t old_end, uintptr_t end)
{
	uintptr_t unit = old_end & -machine.unit;

	if (!is_whole(old_end) && unit + machine.unit <= end && note_get(unit) & NOTE_PLACED)
		kernel_map->madvise((void *)unit, machine.unit, MADV_COLLAPSE);
}

/* It has `bytes` now, and what follows up to s.end is a pad. */
static void grown(struct span s, size_t old_bytes, size_t bytes, bool own)
{
	notes_forget(s.start, s.end);
	note_moved(s, s.start + bytes, own);
	join_tail(s.start + old_bytes, s.end);
	stat_add(map_grown, 1);
}

/* To a new place that lies in its units as the old one does, so that nothing is split (K3).  If the
 * kernel refuses, it may have unmapped the reservation already and another thread may be there, so
 * it is left alone. */
static long move_somewhere(struct span from, size_t bytes, int flags)
{
	uintptr_t to = reserve_place(bytes, from.start & (machine.unit - 1), RESERVE);

	if (!to)
		return -ENOMEM;
	uintptr_t pad = span_pad(from);
	bool own = is_own(from);
	span_cut(from);
	notes_forget(from.start, from.end);
	long result = remap(from, bytes, flags | MREMAP_FIXED, to);
	if (result < 0)
		note_moved(from, pad ? pad : from.end, own);
	return result;
}

/* The pad cannot be kept: the call itself decides about the room behind the mapping. */
static long grow_plainly(struct span from, size_t bytes, int flags)
{
	if (note_pad(from.end - 1) == from.end)
		pad_drop(from.end - 1);
	return remap_plainly(from, bytes, flags);
}

/* Whether the range is one mapping, as growth demands: only the kernel can tell.  It refuses to let
 * the range grow, because more of the mapping follows, and the error says why. */
static bool is_one_mapping(struct span s)
{
	size_t more = span_bytes(s) + machine.page;
	long result = remap(s, more, 0, 0);

	if (result >= 0) /* nothing did */
		remap((struct span){s.start, s.start + more}, span_bytes(s), 0, 0);
	return result == -ENOMEM;
}

/* The pad becomes memory of the program; it is all zero, and has the protection and advice of what
 * it follows.  A program that grows by little at a time would else have its last unit split and
 * made huge again at each step. */
static bool grow_into_pad(struct span from, uintptr_t end, uintptr_t pad_end)
{
	uintptr_t known = end < pad_end ? end : pad_end - machine.page;

	/* A pad is noted in grains. */
	if (end & (machine.grain - 1) || !is_one_mapping((struct span){from.start, known}))
		return false;
	note_move_pad(from.end, end == pad_end ? 0 : end);
	stat_add(map_grown, 1);
	return true;
}

static long grow(struct span from, size_t bytes, int flags)
{
	struct span with_pad = {from.start, span_with_pad(from)};
	uintptr_t end = from.start + bytes;

	if (end <= with_pad.end && grow_into_pad(from, end, with_pad.end))
		return (long)from.start;
	span_join(from);
	size_t goal = padded_end(end) - from.start;
	bool own = is_own(from);

	if (end <= with_pad.end)
		return grow_plainly(from, bytes, flags);
	long result = remap(with_pad, goal, 0, 0);
	if (result < 0 && result != -ENOMEM)
		return grow_plainly(from, bytes, flags);
	if (result < 0 && flags & MREMAP_MAYMOVE)
		result = move_somewhere(with_pad, goal, flags);
	if (result < 0)
		return grow_plainly(from, bytes, flags);
	grown((struct span){(uintptr_t)result, (uintptr_t)result + goal}, span_bytes(from), bytes,
	      own);
	return result;
}

/* ---- the call ---- */

/* Whether this is memory that we placed; growth of any other is the kernel's. */
static bool is_placed(struct span s)
{
	return note_get(s.start) & NOTE_PLACED || note_pad(s.end - 1) == s.end;
}

/* MREMAP_DONTUNMAP without MREMAP_FIXED takes a hint, as mmap does: one that lies in its units as
 * the old place does.  If another thread takes that place meanwhile, the kernel chooses. */
static long move_and_keep(struct span from, size_t bytes, int flags)
{
	uintptr_t hint = is_placed(from)
	                         ? reserve_place(bytes, from.start & (machine.unit - 1), RESERVE)
	                         : 0;

	if (hint)
		kernel_map->munmap((void *)hint, bytes);
	span_join(from);
	span_cut(from);
	long result = remap(from, bytes, flags, hint);
	if (result >= 0 && !hint)
		not_placed(result, bytes);
	if (result >= 0 && hint) {
		struct span to = {(uintptr_t)result, (uintptr_t)result + bytes};

		note_moved(to, to.end, is_own(from));
	}
	return result;
}

static long resize(struct span from, size_t bytes, int flags)
{
	if (bytes < span_bytes(from))
		return shrink(from, bytes, flags);
	return bytes > span_bytes(from) && is_placed(from) ? grow(from, bytes, flags)
	                                                   : remap_plainly(from, bytes, flags);
}

/* While sites are learned, nothing is placed. */
static long remap_recorded(void *addr, size_t bytes, size_t new_bytes, int flags, void *to)
{
	long result = kernel_map->mremap(addr, bytes, new_bytes, flags, to);

	if (result >= 0 && bytes && !(flags & MREMAP_DONTUNMAP))
		learn_moved(addr, (void *)result, new_bytes);
	return result;
}

long map_mremap(void *addr, size_t bytes, size_t new_bytes, int flags, void *to)
{
	const int known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
	struct span from, goal;

	if (__builtin_expect(learn_active, 0))
		return remap_recorded(addr, bytes, new_bytes, flags, to);
	if (!map_active || flags & ~known || !span_of(&from, addr, bytes) ||
	    !span_of(&goal, flags & MREMAP_FIXED ? to : addr, new_bytes))
		return kernel_map->mremap(addr, bytes, new_bytes, flags, to);
	if (flags & MREMAP_FIXED)
		return move_to(from, span_bytes(goal), flags, goal.start);
	if (flags & MREMAP_DONTUNMAP)
		return move_and_keep(from, span_bytes(goal), flags);
	if (!span_noted(from))
		return remap_plainly(from, span_bytes(goal), flags);
	return resize(from, span_bytes(goal), flags);
}
