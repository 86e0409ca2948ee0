/*
 * notes.h: what we note of the program's mappings: one 16-bit word a unit, nothing else.
 *
 * The kernel knows what is mapped; we only need to know where our placement may have made a huge
 * page, so that a call on part of it can be done without leaving it partially mapped (K1), and
 * where we mapped more than was asked.  A word is found by two loads, so a mapping that we did not
 * place costs nothing however many there are, and there is no lock: the functions are
 * async-signal-safe, and right in a forked and in a vforked child.
 *
 * A word may be out of date when the program changes its memory by ways that we do not see (a raw
 * system call).  All but a pad is therefore a hint: a wrong one costs a needless call, and never
 * changes what the program sees.
 *
 * Vocabulary
 *   placed  a unit that lies wholly in a mapping that we aligned and advised
 *   tail    the last part of a mapping that we aligned and advised, in a unit of which the rest is
 *           none of ours
 *   pad     the last pages of a placed unit that the program did not ask for: we mapped its
 *           mapping's tail to the full unit.  The program does not know of it, and it has the
 *           protection and advice of the page before it
 */
#ifndef UNSPLIT_MAP_NOTES_H
#define UNSPLIT_MAP_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernel.h"
#include "pmd/atomic.h"

typedef uint16_t note_word;

#define NOTE_PLACED ((note_word)0x8000)
#define NOTE_BASE                                                                                  \
	((note_word)0x4000)           /* the program gave up part: split, and advised NOHUGEPAGE   \
	                               */
#define NOTE_HEAD ((note_word)0x2000) /* the first unit of a mapping, for counting */
#define NOTE_OWN  ((note_word)0x1000) /* the program advised it itself: no advice of ours */
#define NOTE_TAIL ((note_word)0x0800) /* not placed, but its first grains are a mapping's tail */
/* The grain at which the tail ends, or else the pad begins; 0 if there is no pad. */
#define NOTE_END ((note_word)0x03ff)

/* A leaf holds the words of 8192 units (16 GiB of address space with units of 2 MiB). */
enum { NOTES_LEAF = 1 << 13, NOTES_ROOT = 1 << 13 };

extern note_word *notes_root[NOTES_ROOT];

/* Take the address space that notes need (4 MiB; memory only where something is noted).  False if
 * it is not to be had: then nothing will ever be noted. */
bool notes_init(void);

/* The word of the unit that holds this address; NULL if nothing was ever noted near it. */
static inline note_word *note_at(uintptr_t address)
{
	size_t unit = address >> machine.unit_shift;

	if (__builtin_expect(unit / NOTES_LEAF >= NOTES_ROOT, 0))
		return NULL;
	note_word *leaf = at_acquire(&notes_root[unit / NOTES_LEAF]);
	return leaf ? leaf + unit % NOTES_LEAF : NULL;
}

static inline note_word note_get(uintptr_t address)
{
	note_word *word = note_at(address);

	return word ? at_get(word) : 0;
}

/* Whether this address lies in memory that has our advice. */
bool note_advised(uintptr_t address);
/* Where the pad of the unit that holds this address begins; 0 if it has none. */
uintptr_t note_pad(uintptr_t address);

/* Note that the whole units of [start, end) are placed; a pad begins at `pad` (0: none), which lies
 * in the last one.  False, and nothing is noted, if there is no room for it.  What was noted of
 * these units before is forgotten. */
bool notes_place(uintptr_t start, uintptr_t end, uintptr_t pad);
/* Forget the whole units of [start, end). */
void notes_forget(uintptr_t start, uintptr_t end);
/* Something that we did not place lies in units of [start, end) now: forget that they were placed,
 * but for their pads. */
void notes_disown(uintptr_t start, uintptr_t end);
/* The program advised units of [start, end) itself. */
void notes_own(uintptr_t start, uintptr_t end);
/* Forget the pad of the unit that holds this address. */
void note_forget_pad(uintptr_t address);
/* The pad that begins at `from` begins at `to` now, in the same unit; 0: there is none any more. */
void note_move_pad(uintptr_t from, uintptr_t to);

/* Mark or unmark a unit NOTE_BASE.  False if it was so already. */
bool note_set_base(uintptr_t address);
bool note_clear_base(uintptr_t address);
/* Whether more units may be kept on base pages: each may cost two VMAs. */
bool notes_base_room(void);

/* The next unit after `unit` (the start of one) that may have a word. */
uintptr_t note_next(uintptr_t unit);

/* Mappings that we placed and that are not yet forgotten. */
size_t notes_mappings(void);

/* Forget everything: between unit tests. */
void notes_reset(void);

#endif
