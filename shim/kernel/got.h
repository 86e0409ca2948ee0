/*
 * got.h: redirecting one library's calls of some functions.
 */
#ifndef UNSPLIT_KERNEL_GOT_H
#define UNSPLIT_KERNEL_GOT_H

#include <stdbool.h>
#include <stddef.h>

/* One imported function and what its calls are to go to.  `old` is what the slot held; it stays as
 * it was if the object does not import the symbol, or the kernel refuses. */
struct got_patch {
	const char *symbol;
	void *replacement, *old;
};

enum { GOT_PATCHES = 4 };

/* Redirect the calls of the shared object that holds `inside` (any address of it); other objects
 * are not affected.  At most GOT_PATCHES at a time, nothing is done for more.  Works with full
 * RELRO: the pages are made writable for the store and read-only again.  Allocates nothing; meant
 * for start-up, before other threads run. */
void got_patch(const void *inside, struct got_patch *patches, size_t count);

/* Whether two addresses lie in the same loaded object. */
bool got_same_object(const void *a, const void *b);

#endif
