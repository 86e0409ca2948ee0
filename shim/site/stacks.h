/*
 * stacks.h: stacks that were seen before, recognized without unwinding.
 *
 * A stack is remembered by its innermost return address and how deep it is, together with where its
 * return addresses lie, counted from there.  If the same words lie in the same places, it is the
 * same stack: a few loads instead of a microsecond.  Where the places vary (a function with an
 * array of variable size), it is not recognized, and unwound again.
 *
 * A table of fixed size, in which what is new displaces what is old.  No lock; thread-safe and
 * async-signal-safe.
 */
#ifndef UNSPLIT_SITE_STACKS_H
#define UNSPLIT_SITE_STACKS_H

#include <stddef.h>
#include <stdint.h>

#include "site/frames.h"

struct site;

/* Reserve the table, for stacks of `frames` frames, unless there is one for so many.  By one thread
 * at a time, but others may use it meanwhile.  Returns 0 or ENOMEM. */
int stacks_init(size_t frames);

/* The site remembered for the stack whose innermost return address is `caller`, seen by a function
 * whose frame is at `at`; NULL if that is not known. */
struct site *stacks_find(const void *caller, uintptr_t at);
/* Remember it.  Does nothing if it is not known where the return addresses lie. */
void stacks_add(const struct frames *frames, uintptr_t at, struct site *site);

/* Between unit tests: forget all. */
void stacks_reset(void);

#endif
