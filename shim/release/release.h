/*
 * release.h: policy over units: what is kept for the next demand, and what goes back.
 *
 * Mechanism is in pmd/; nothing there decides.  release_tick() is called from slow paths and must be
 * called with no lock held: it makes system calls.
 */
#ifndef UNSPLIT_RELEASE_RELEASE_H
#define UNSPLIT_RELEASE_RELEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/filler.h"
#include "pmd/ledger.h"

/* What the policy rules over. */
struct release_scope {
	struct filler *filler;
	struct ledger *ledgers;
	const size_t *ledger_count;
};

void release_init(const struct release_scope *scope);

/* Do what is due, a bounded amount of it: at most RELEASE_BATCH units, so that no caller waits for
 * long (K8: 9 us a unit).  Cheap if nothing is due. */
void release_tick(void);
enum { RELEASE_BATCH = 32 };

/* Return every kept unit now.  Returns how many went. */
size_t release_all(void);

/* Kept units that recent demand does not justify; for tests. */
size_t release_surplus(void);

#endif
