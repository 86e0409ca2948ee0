/*
 * bits.h: the 512 pages of a unit as a bitmap.
 *
 * "Page" here is a grain: 1/512 of a unit (kernel/kernel.h).  Pure functions, no locking.
 */
#ifndef UNSPLIT_PMD_BITS_H
#define UNSPLIT_PMD_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { UNIT_PAGES = 512, BITS_WORDS = UNIT_PAGES / 64, BITS_NONE = UINT16_MAX };

struct bits {
	uint64_t w[BITS_WORDS];
};

/* The part of word `i` that lies in pages [from, from + n). */
static inline uint64_t bits_mask(unsigned i, unsigned from, unsigned n)
{
	unsigned lo = i * 64, end = from + n;
	unsigned a = from > lo ? from - lo : 0;
	unsigned b = end < lo + 64 ? end - lo : 64;

	return (~0ull >> (64 - (b - a))) << a;
}

#define BITS_EACH(i, from, n)                                                                      \
	for (unsigned i = (from) / 64, last_ = ((from) + (n)-1) / 64; i <= last_; i++)

static inline void bits_set(struct bits *b, unsigned from, unsigned n)
{
	BITS_EACH(i, from, n)
	b->w[i] |= bits_mask(i, from, n);
}

static inline void bits_clear(struct bits *b, unsigned from, unsigned n)
{
	BITS_EACH(i, from, n)
	b->w[i] &= ~bits_mask(i, from, n);
}

static inline bool bits_any(const struct bits *b, unsigned from, unsigned n)
{
	BITS_EACH(i, from, n)
	if (b->w[i] & bits_mask(i, from, n))
		return true;
	return false;
}

static inline unsigned bits_count(const struct bits *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BITS_WORDS; i++)
		n += (unsigned)__builtin_popcountll(b->w[i]);
	return n;
}

/* The first page at or after `from` whose bit is `value`; UNIT_PAGES if there is none. */
static inline unsigned bits_next(const struct bits *b, unsigned from, bool value)
{
	uint64_t flip = value ? 0 : ~0ull;

	if (from >= UNIT_PAGES)
		return UNIT_PAGES;
	unsigned i = from / 64;
	uint64_t w = (b->w[i] ^ flip) & (~0ull << (from % 64));
	while (!w) {
		if (++i == BITS_WORDS)
			return UNIT_PAGES;
		w = b->w[i] ^ flip;
	}
	return i * 64 + (unsigned)__builtin_ctzll(w);
}

/* The length of the longest run of clear bits. */
static inline unsigned bits_longest_clear(const struct bits *b)
{
	unsigned longest = 0;

	for (unsigned at = bits_next(b, 0, false); at < UNIT_PAGES;) {
		unsigned end = bits_next(b, at, true);

		if (end - at > longest)
			longest = end - at;
		at = bits_next(b, end, false);
	}
	return longest;
}

/* Where `n` clear bits should be taken, starting at a multiple of `align`: in the shortest run that
 * has room.  BITS_NONE if no run has. */
static inline unsigned bits_best_clear(const struct bits *b, unsigned n, unsigned align)
{
	unsigned best = BITS_NONE, best_length = UNIT_PAGES + 1;

	for (unsigned at = bits_next(b, 0, false); at < UNIT_PAGES;) {
		unsigned end = bits_next(b, at, true);
		unsigned start = (at + align - 1) & ~(align - 1);

		if (start + n <= end && end - at < best_length) {
			best = start;
			best_length = end - at;
			if (best_length == n)
				break;
		}
		at = bits_next(b, end, false);
	}
	return best;
}

#endif
