/*
 * retain.h: how many wholly free units to keep.
 *
 * Wholly free units are kept for as long as demand may come back for them.  What may come back is
 * the most that was held within the last `delay`, less what is held now.  So a program that frees
 * and takes 200 MiB ten times a second returns nothing, and one that freed for good returns
 * everything one delay later.
 *
 * The caller holds the worker's token.
 */
#ifndef UNSPLIT_RELEASE_RETAIN_H
#define UNSPLIT_RELEASE_RETAIN_H

#include <stddef.h>
#include <stdint.h>

void retain_reset(void);
/* Let time pass up to `now`, ns.  `delay` is in ns. */
void retain_advance(uint64_t now, uint64_t delay);
/* Units that should be kept at the moment. */
size_t retain_want(void);

#endif
