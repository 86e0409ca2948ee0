/*
 * bootstrap.h: a small static buffer for what is allocated while the heap itself is starting.
 *
 * Never freed.  Used by one thread only, the one that starts the heap.
 */
#ifndef UNSPLIT_HEAP_BOOTSTRAP_H
#define UNSPLIT_HEAP_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed; NULL if the buffer is full. */
void *bootstrap_alloc(size_t n, size_t align);
/* The lowest address it handed out; UINTPTR_MAX if none. */
uintptr_t bootstrap_lowest(void);
bool bootstrap_owns(const void *p);
size_t bootstrap_usable(const void *p);

#endif
