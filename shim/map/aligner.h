/*
 * aligner.h: who asks for more than it needs, only to have it aligned.
 *
 * An allocator whose chunks must lie on their own size (V8: 256 KiB) cannot ask the kernel for
 * that. It reserves a chunk and as much again less one page, at an address that it made up at
 * random, unmaps what it does not need, and opens the rest.  None of these mappings holds a unit,
 * and at random addresses they never come together, so such a program has no huge page.
 *
 * A hint must be followed if the program relies on it, and from one call nobody can tell.  So we
 * watch what a caller (the return address of mmap) does with what the kernel gave it.  It is proven
 * to be after alignment only, if time after time it
 *   - reserved without access, privately and anonymously, at hints aligned to A and far from each
 *     other: hints that only scatter;
 *   - asked for exactly A less a page more than it kept.  The hint itself was aligned: with it, it
 *     would have needed nothing more.  Who asks for more reckons with any other address;
 *   - gave back the surplus, and nothing else, and opened all of the rest to read and write.
 * From then on its mappings may lie where we want them (row.h).  Low hints and hints near its code
 * are never taken for such, whoever gives them; and a caller that unmaps what was not placed at its
 * hint is left alone for ever.
 *
 * Lock-free and async-signal-safe.  What two threads do at once may cost a piece of evidence.
 */
#ifndef UNSPLIT_MAP_ALIGNER_H
#define UNSPLIT_MAP_ALIGNER_H

#include <stdbool.h>
#include <stddef.h>

#include "map/part.h"

/* A call of mmap, as far as it matters here; `bytes` are rounded to pages. */
struct reservation {
	uintptr_t hint;
	size_t bytes;
	const void *caller;
};

/* Whether this is a reservation of the kind that is watched. */
bool aligner_like(const struct reservation *r, int protection, int flags);
/* The alignment that the caller is after, if that is all it is after; else 0. */
size_t aligner_proven(const struct reservation *r);
/* Whether callers that are proven have asked for so much that huge pages pay. */
bool aligner_big(void);
/* The caller did not want it elsewhere than at its hint. */
void aligner_insists(const void *caller);

/* Whether anything is watched: if not, aligner_unmapped() and aligner_opened() do nothing. */
extern bool aligner_watches;
/* The kernel mapped it at `start`; the program unmapped, or opened to read and write, `s`. */
void aligner_mapped(const struct reservation *r, uintptr_t start);
void aligner_unmapped(struct span s);
void aligner_opened(struct span s);

/* Forget everything: between unit tests. */
void aligner_reset(void);

#endif
