#include "map/notes.h"

#include <string.h>
#include <sys/mman.h> /* PROT_*, MAP_*: no call is made from here */

#include "kernel/mapping.h"
#include "table.h"

enum { MOST_BASE = 4096 };

/* Leaves for 4 TiB of neighbourhoods, and the heap of no program lies in that many. */
enum { MOST_LEAVES = 256, LEAF_BYTES = NOTES_LEAF * sizeof(note_word) };

TABLE note_word *notes_root[NOTES_ROOT];
static uintptr_t pool;   /* LEAF_BYTES each, all zero; no page is there before it is written */
static size_t pool_used; /* leaves; may grow beyond MOST_LEAVES */
static size_t mappings;
static size_t base_units;

/* At once, and not when a leaf is needed: that is within a call of the program, which may have made
 * a hole a moment ago that it wants to fill again, and the kernel would put the leaf there. */
bool notes_init(void)
{
	if (pool)
		return true;
	long made = kernel_map->mmap(NULL, (size_t)MOST_LEAVES * LEAF_BYTES, PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	pool = made < 0 ? 0 : (uintptr_t)made;
	return pool;
}

/* Two threads may want the same leaf: the second one's is lost. */
static note_word *make_leaf(note_word **root)
{
	note_word *none = NULL;
	size_t n = at_get(&pool_used) < MOST_LEAVES ? at_add(&pool_used, 1) : MOST_LEAVES;

	if (!pool || n >= MOST_LEAVES)
		return NULL;
	note_word *leaf = (note_word *)(pool + n * LEAF_BYTES);
	return at_cas(root, &none, leaf) ? leaf : none;
}

static note_word *note_make(uintptr_t address)
{
	size_t unit = address >> machine.unit_shift;

	if (unit / NOTES_LEAF >= NOTES_ROOT)
		return NULL;
	note_word **root = &notes_root[unit / NOTES_LEAF];
	note_word *leaf = at_acquire(root);
	if (!leaf)
		leaf = make_leaf(root);
	return leaf ? leaf + unit % NOTES_LEAF : NULL;
}

static uintptr_t unit_of(uintptr_t address)
{
	return address & -machine.unit;
}

static note_word grain_in_unit(uintptr_t address)
{
	return (note_word)((address & (machine.unit - 1)) >> machine.grain_shift);
}

static uintptr_t end_in(uintptr_t address, note_word note)
{
	return unit_of(address) + ((uintptr_t)(note & NOTE_END) << machine.grain_shift);
}

uintptr_t note_pad(uintptr_t address)
{
	note_word note = note_get(address);

	return note & NOTE_END && !(note & NOTE_TAIL) ? end_in(address, note) : 0;
}

static uintptr_t note_tail(uintptr_t address)
{
	note_word note = note_get(address);

	return note & NOTE_TAIL ? end_in(address, note) : 0;
}

bool note_advised(uintptr_t address)
{
	note_word note = note_get(address);

	if (note & NOTE_OWN)
		return false;
	return note & NOTE_PLACED || (note & NOTE_TAIL && address < end_in(address, note));
}

/* A word is no more. */
static void uncount(note_word old)
{
	if (old & NOTE_BASE)
		at_sub(&base_units, 1);
	if (old & NOTE_HEAD)
		at_sub(&mappings, 1);
}

static void replace(note_word *word, note_word with)
{
	uncount(at_swap(word, with));
	if (with & NOTE_HEAD)
		at_add(&mappings, 1);
}

/* Whole leaves that do not exist are skipped. */
uintptr_t note_next(uintptr_t unit)
{
	uintptr_t next = unit + machine.unit;

	if (!note_at(next))
		next = (next | (((uintptr_t)NOTES_LEAF << machine.unit_shift) - 1)) + 1;
	return next;
}

void notes_forget(uintptr_t start, uintptr_t end)
{
	uintptr_t first = start, last = end;

	start = unit_of(start + machine.unit - 1);
	end = unit_of(end);
	for (uintptr_t unit = start; unit < end && unit >= start; unit = note_next(unit))
		if (note_get(unit))
			replace(note_at(unit), 0);
	if (note_tail(end) && note_tail(end) <= last)
		replace(note_at(end), first > end ? NOTE_TAIL | grain_in_unit(first) : 0);
}

void notes_disown(uintptr_t start, uintptr_t end)
{
	for (uintptr_t unit = unit_of(start); unit < end && unit >= unit_of(start);
	     unit = note_next(unit))
		if (note_tail(unit)) {
			if (start < note_tail(unit))
				replace(note_at(unit), 0);
		} else if (note_get(unit)) {
			uncount(__atomic_fetch_and(note_at(unit), NOTE_END, __ATOMIC_ACQ_REL));
		}
}

void notes_own(uintptr_t start, uintptr_t end)
{
	for (uintptr_t unit = unit_of(start); unit < end && unit >= unit_of(start);
	     unit = note_next(unit))
		if (note_get(unit) & NOTE_PLACED || start < note_tail(unit))
			__atomic_fetch_or(note_at(unit), NOTE_OWN, __ATOMIC_RELEASE);
}

static bool make_leaves(uintptr_t start, uintptr_t end)
{
	const uintptr_t leaf = (uintptr_t)NOTES_LEAF << machine.unit_shift;

	for (uintptr_t at = start; at < end; at = (at & -leaf) + leaf)
		if (!note_make(at))
			return false;
	return true;
}

bool notes_place(uintptr_t start, uintptr_t end, uintptr_t pad)
{
	uintptr_t unit = unit_of(start + machine.unit - 1);
	note_word head = NOTE_HEAD;

	if (unit >= end)
		return true;
	if (!make_leaves(unit, end))
		return false;
	for (; unit < unit_of(end); unit += machine.unit, head = 0)
		replace(note_at(unit), NOTE_PLACED | head);
	if (pad)
		__atomic_fetch_or(note_at(pad), grain_in_unit(pad), __ATOMIC_RELEASE);
	/* A unit that is placed may have been moved into. */
	if (unit < end && !(note_get(unit) & NOTE_PLACED))
		replace(note_at(unit), NOTE_TAIL | grain_in_unit(end));
	return true;
}

void note_forget_pad(uintptr_t address)
{
	note_word *word = note_at(address);

	if (word && note_pad(address))
		__atomic_fetch_and(word, (note_word)~NOTE_END, __ATOMIC_RELEASE);
}

void note_move_pad(uintptr_t from, uintptr_t to)
{
	note_forget_pad(from);
	if (to)
		__atomic_fetch_or(note_at(to), grain_in_unit(to), __ATOMIC_RELEASE);
}

bool notes_base_room(void)
{
	return at_get(&base_units) < MOST_BASE;
}

bool note_set_base(uintptr_t address)
{
	note_word *word = note_at(address);

	if (!word || __atomic_fetch_or(word, NOTE_BASE, __ATOMIC_ACQ_REL) & NOTE_BASE)
		return false;
	at_add(&base_units, 1);
	return true;
}

bool note_clear_base(uintptr_t address)
{
	note_word *word = note_at(address);

	if (!word || !(at_get(word) & NOTE_BASE) ||
	    !(__atomic_fetch_and(word, (note_word)~NOTE_BASE, __ATOMIC_ACQ_REL) & NOTE_BASE))
		return false;
	at_sub(&base_units, 1);
	return true;
}

size_t notes_mappings(void)
{
	return at_get(&mappings);
}

void notes_reset(void)
{
	memset(notes_root, 0, sizeof(notes_root));
	memset((void *)pool, 0, (pool_used < MOST_LEAVES ? pool_used : MOST_LEAVES) * LEAF_BYTES);
	pool_used = mappings = base_units = 0;
}
