/* call.c: munmap, mprotect and madvise. */
#include <errno.h>
#include <sys/mman.h> /* MADV_*: no call is made from here */

#include "kernel/mapping.h"
#include "map/map.h"
#include "map/part.h"
#include "map/row.h"
#include "site/learn.h"

/* ---- munmap ---- */

/* The notes go first: once the memory is gone, another thread may map and note the same addresses.
 * A pad that the kernel then does not take away is noted again, or it would be mapped for ever. */
static long unmap(struct span s)
{
	uintptr_t pad = span_pad(s);

	span_cut(s);
	notes_forget(s.start, s.end);
	if (pad)
		note_forget_pad(pad);
	long result = kernel_map->munmap((void *)s.start, span_bytes(s));
	if (result && pad)
		notes_place(pad & -machine.unit, s.end, pad);
	return result;
}

static long unmap_noted(struct span s)
{
	span_without_pads(s);
	s.end = span_with_pad(s);
	return unmap(s);
}

long map_munmap(void *addr, size_t bytes)
{
	struct span s;

	if (__builtin_expect(learn_active, 0))
		learn_unmapped(addr, bytes);
	if (!span_of(&s, addr, bytes))
		return kernel_map->munmap(addr, bytes);
	unsigned quiet = row_quiet();
	long result = span_noted(s) ? unmap_noted(s) : kernel_map->munmap(addr, bytes);
	if (!result && aligner_watches)
		aligner_unmapped(s);
	if (!result && rows_used) {
		row_unmapped(s);
		row_settle(s, quiet);
	}
	return result;
}

/* ---- mprotect ---- */

/* On part of a unit it ends the huge page, but leaves nothing partially mapped (K2).  Who closes a
 * part will likely give it up next (V8 does), and to split what is no longer mapped by one entry
 * counts as a deferred split, though none is left: so it comes first. */
static long protect_noted(struct span s, int protection)
{
	span_without_pads(s);
	s.end = span_with_pad(s);
	if (protection == PROT_NONE)
		span_cut(s);
	return kernel_map->mprotect((void *)s.start, span_bytes(s), protection);
}

static void opened(struct span s)
{
	if (aligner_watches)
		aligner_opened(s);
	if (rows_used)
		row_opened(s);
}

long map_mprotect(void *addr, size_t bytes, int protection)
{
	struct span s;

	if (!span_of(&s, addr, bytes))
		return kernel_map->mprotect(addr, bytes, protection);
	long result = span_noted(s) ? protect_noted(s, protection)
	                            : kernel_map->mprotect(addr, bytes, protection);
	if (!result && protection == (PROT_READ | PROT_WRITE))
		opened(s);
	return result;
}

/* ---- madvise ---- */

static bool takes_memory(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED ||
	       advice == MADV_GUARD_INSTALL;
}

long map_madvise(void *addr, size_t bytes, int advice)
{
	struct span s;

	if (!span_of(&s, addr, bytes) || !span_noted(s))
		return kernel_map->madvise(addr, bytes, advice);
	span_without_pads(s);
	/* Guards would be found in what a pad turns into when the mapping grows. */
	if (advice == MADV_GUARD_INSTALL && span_with_pad(s) != s.end)
		pad_drop(s.end - 1);
	s.end = span_with_pad(s);
	unsigned quiet = row_quiet();
	if (takes_memory(advice))
		span_cut_for_good(s);
	if (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE) {
		span_join(s);
		notes_own(s.start, s.end);
	}
	long result = kernel_map->madvise(addr, span_bytes(s), advice);
	if (!result && takes_memory(advice)) {
		row_settle(s, quiet);
		span_mend(s);
	}
	return result;
}
