/*
 * got.h: redirecting one library's calls of one function.
 */
#ifndef UNSPLIT_KERNEL_GOT_H
#define UNSPLIT_KERNEL_GOT_H

#include <stdbool.h>

/* In the shared object that holds `inside` (any address of it), make the calls of the imported
 * function `symbol` go to `replacement`.  Other objects are not affected.  Works with full RELRO:
 * the page is made writable for the store and read-only again.  Returns what the slot held, or
 * NULL if the object does not import the symbol or the kernel refuses; nothing is changed then.
 * Allocates nothing; meant for start-up, before other threads run. */
void *got_patch(const void *inside, const char *symbol, void *replacement);

/* Whether two addresses lie in the same loaded object. */
bool got_same_object(const void *a, const void *b);

#endif
