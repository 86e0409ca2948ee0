#include "map/packing.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h> /* PROT_*, MAP_*: no call is made from here */

#include "kernel/mapping.h"
#include "map/place.h"
#include "options.h"
#include "report/stats.h"

/*
 * A unit that has something left is one word: its number in the upper half, and in the lower one a
 * bit for each slice (1/32 of it, 64 KiB on x86-64) that was not handed out yet.  0: no unit.
 */
enum { SLICES = 32, OPEN_UNITS = 16, LEAST_SLICES = 2 };

static uint64_t open_units[OPEN_UNITS];
static size_t asked; /* bytes, by all mappings that might be packed */

static size_t slice(void)
{
	return machine.unit / SLICES;
}

/* A small program stays small: the first ones are the kernel's. */
bool packing_wants(size_t bytes)
{
	if (!options.pack || bytes < LEAST_SLICES * slice() || bytes >= machine.unit ||
	    bytes & (slice() - 1))
		return false;
	return at_add(&asked, bytes) >= 2 * options.huge_after;
}

/* The bits of `n` slices from `first` on. */
static uint32_t bits_of(unsigned first, unsigned n)
{
	return (uint32_t)(((1ull << n) - 1) << first);
}

/* The first of `n` free slices side by side; SLICES if there are none. */
static unsigned find(uint32_t free, unsigned n)
{
	for (unsigned first = 0; first + n <= SLICES; first++)
		if ((free & bits_of(first, n)) == bits_of(first, n))
			return first;
	return SLICES;
}

static uintptr_t address_of(uint64_t word, unsigned first)
{
	return ((word >> 32) << machine.unit_shift) + first * slice();
}

/* Take `n` slices of this unit; 0 if it has none. */
static uintptr_t take_from(uint64_t *open, unsigned n)
{
	uint64_t word = at_acquire(open);

	for (;;) {
		unsigned first = find((uint32_t)word, n);
		if (first == SLICES)
			return 0;
		uint64_t rest = word & ~(uint64_t)bits_of(first, n);
		if (at_cas(open, &word, (uint32_t)rest ? rest : 0))
			return address_of(word, first);
	}
}

/* Unmap what was left of a unit that gives way to another. */
static void close_unit(uint64_t word)
{
	for (unsigned first = 0, n; (uint32_t)word; word &= ~(uint64_t)bits_of(first, n)) {
		first = (unsigned)__builtin_ctz((uint32_t)word);
		for (n = 1; first + n < SLICES && word >> (first + n) & 1; n++)
			;
		struct span s = {address_of(word, first), address_of(word, first + n)};

		span_cut(s);
		kernel_map->munmap((void *)s.start, span_bytes(s));
	}
}

/* Keep a unit for later, in the place of the one with the least left if need be. */
static void keep_open(uint64_t word)
{
	uint64_t *least = open_units;

	for (unsigned i = 0; i < OPEN_UNITS; i++)
		if (__builtin_popcount((uint32_t)at_get(&open_units[i])) <
		    __builtin_popcount((uint32_t)at_get(least)))
			least = &open_units[i];
	close_unit(at_swap(least, word));
}

static long open_unit(unsigned n)
{
	uintptr_t unit = reserve_place(machine.unit, 0, MAP_PRIVATE | MAP_ANONYMOUS);
	struct span s = {unit, unit + machine.unit};

	if (!unit)
		return -ENOMEM;
	if (kernel_map->mprotect((void *)unit, machine.unit, PROT_READ | PROT_WRITE)) {
		kernel_map->munmap((void *)unit, machine.unit);
		return -ENOMEM;
	}
	placed(s, s.end);
	keep_open((uint64_t)(unit >> machine.unit_shift) << 32 | bits_of(n, SLICES - n));
	return (long)unit;
}

/* The kernel put somebody else where a piece was unmapped: the unit's note says no more that what
 * is left of it has our advice, and what is mapped over a part would not get it. */
static bool is_shared(const uint64_t *open)
{
	uint64_t word = at_acquire(open);

	return word && !(note_get(address_of(word, 0)) & NOTE_PLACED);
}

long packing_take(size_t bytes)
{
	unsigned n = (unsigned)(bytes / slice());
	uintptr_t piece = 0;

	for (unsigned i = 0; i < OPEN_UNITS && !piece; i++) {
		if (is_shared(&open_units[i]))
			close_unit(at_swap(&open_units[i], 0));
		piece = take_from(&open_units[i], n);
	}
	long result = piece ? (long)piece : open_unit(n);
	if (result >= 0)
		stat_add(map_packed, 1);
	return result;
}

void packing_reset(void)
{
	memset(open_units, 0, sizeof(open_units));
	asked = 0;
}
