/*
 * ledger_word.h: the words of a ledger, for its two parts ledger.c and ledger_giveback.c.
 */
#ifndef UNSPLIT_PMD_LEDGER_WORD_H
#define UNSPLIT_PMD_LEDGER_WORD_H

#include "kernel/kernel.h"
#include "pmd/ledger.h"

static inline unsigned slice_shift(void)
{
	return machine.unit_shift - 5;
}

static inline uint64_t *word_of(const struct ledger *l, size_t unit)
{
	return (uint64_t *)l->words.base + unit;
}

/* The slices of a demoted unit that may be backed. */
static inline uint32_t *backed_of(const struct ledger *l, size_t unit)
{
	return (uint32_t *)l->backed.base + unit;
}

static inline char *unit_address(const struct ledger *l, size_t unit)
{
	return l->zone.data.base + (unit << machine.unit_shift);
}

static inline bool is_kept(uint64_t w)
{
	return !(w & LEDGER_USED) && (w & LEDGER_DIRTY);
}

/* The backed slices of a unit that are not used, and could be given back. */
static inline uint32_t slack_slices(const struct ledger *l, size_t unit, uint64_t w)
{
	uint32_t backed = w & LEDGER_DEMOTED ? at_get(backed_of(l, unit)) : UINT32_MAX;

	return w & LEDGER_USED && !(w & LEDGER_PINNED) ? backed & ~(uint32_t)w : 0;
}

/* Bring the ranks up to date, and hold their lock until ledger_unlock(). */
void ledger_lock(struct ledger *l);

static inline void ledger_unlock(struct ledger *l)
{
	pthread_mutex_unlock(&l->ranks.lock);
}

/* Wait until a BUSY word is settled; counts as a pause of the caller.  Returns the word. */
uint64_t ledger_wait(const uint64_t *word);

/* Read a word that nobody is returning at the moment. */
static inline uint64_t load_settled(const uint64_t *word)
{
	uint64_t w = at_acquire(word);

	return __builtin_expect(w & LEDGER_BUSY, 0) ? ledger_wait(word) : w;
}

#endif
