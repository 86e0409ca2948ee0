/*
 * release.h: policy over units: what is kept for the next demand, what goes back, what is healed.
 *
 * Mechanism is in pmd/; nothing there decides.  The policy has four parts, each in its file:
 *   retain.c    how many wholly free units recent demand justifies
 *   bound.c     how much slack partly used units may hold; beyond it, units are demoted
 *   healing.c   which broken units are made huge again, and how fast
 *   keeper.c    the thread that does all this while the program is idle
 * release.c drives them: from slow paths (release_tick), from the keeper (release_step), and at
 * once (release_all).  Only one thread works at a time; it holds a token, but no lock, in the
 * kernel.
 */
#ifndef UNSPLIT_RELEASE_RELEASE_H
#define UNSPLIT_RELEASE_RELEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/filler.h"
#include "pmd/ledger.h"

/* What the policy rules over, and how the keeper announces itself to the heap. */
struct release_scope {
	struct filler *fillers; /* RELEASE_FILLERS at most */
	const size_t *filler_count;
	struct ledger *ledgers; /* RELEASE_LEDGERS at most */
	const size_t *ledger_count;
	bool (*enter)(void); /* before it works; NULL if nobody must know */
	void (*leave)(void);
};

enum { RELEASE_FILLERS = 16, RELEASE_LEDGERS = 16 };

extern struct release_scope release_scope;

/* Visit all fillers, and all ledgers, that there are by now. */
#define each_filler(f)                                                                             \
	for (struct filler *f = release_scope.fillers,                                             \
	                   *f##_end = f + at_acquire(release_scope.filler_count);                  \
	     f < f##_end; f++)
#define each_ledger(l)                                                                             \
	for (struct ledger *l = release_scope.ledgers,                                             \
	                   *l##_end = l + at_acquire(release_scope.ledger_count);                  \
	     l < l##_end; l++)

void release_init(const struct release_scope *scope);

/* From slow paths, with no lock held: do a little of what is due, so that no caller waits long
 * (at most RELEASE_BATCH whole units, 9 us each: K8), or see that the keeper will.  Usually just
 * counts. */
void release_tick(void);
enum { RELEASE_BATCH = 8 };

/* From slow paths, with no lock held: p, which nobody has touched yet, may lie in a demoted unit.
 * If the program grows again, the unit is healed first: to make a nearly empty unit huge takes
 * 0.2 ms, to fault in its pages one by one 0.6, and to put them together later 0.4 more. */
void release_filling(struct filler *f, const void *p);
void release_filling_small(struct ledger *l, const void *p);

/* From the keeper: do a portion of what is due at `now` (ns).  Returns how long (ns) to wait before
 * the next; UINT64_MAX if there is nothing to wait for. */
uint64_t release_step(uint64_t now);

/* Return every kept unit now, waiting for whoever is at work.  Returns how many went. */
size_t release_all(void);
/* The same, and demote until nothing free is left.  Returns bytes given back. */
size_t release_everything(void);

/* Give back about `bytes` from inside partly used units, whatever options.release says, waiting for
 * whoever is at work.  Returns bytes given back. */
size_t release_demote(size_t bytes);

/* A walk over all units that heals what is broken at once, beside the keeper's walk and its budget.
 * Begins with all members 0. */
struct release_healing {
	struct heal_walk walk;
	size_t part; /* which of the ledgers it is in; their number: in the filler */
	size_t healed;
};
/* Heal one more unit, waiting for whoever is at work.  False at the end of the walk. */
bool release_heal(struct release_healing *healing);

/* Call change(what) while nobody works by the options, and see that somebody will soon.  Returns
 * what it returns. */
bool release_change(bool (*change)(void *), void *what);

/* A fork() happened in this process: writes break units from now on. */
void release_note_fork(void);
/* In the child. */
void release_after_fork(void);

/* Someone should call keeper_start() at a point where threads may be created. */
bool release_wants_keeper(void);

/* Pages (512 to a unit), as the parts of the policy see them. */
size_t release_kept_units(void);
size_t release_slack_pages(void);
size_t release_used_pages(void);

#endif
