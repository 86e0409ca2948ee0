/*
 * meta.h: memory for our own structures: many of one size, such as a thread's cache, or one block.
 *
 * Taken from address space of its own, so that it never shares a page with the program's objects.
 * What is put back is reused.  Thread-safe; calls no malloc.
 */
#ifndef UNSPLIT_PMD_META_H
#define UNSPLIT_PMD_META_H

#include <pthread.h>
#include <stddef.h>

#include "pmd/zone.h"

struct meta_pool {
	size_t size; /* bytes of an item, at least a pointer */
	pthread_mutex_t lock;
	struct prefix range;
	size_t used; /* bytes of the range that were ever handed out */
	void *free;  /* items put back, linked through their first word */
};

#define META_POOL(bytes)                                                                           \
	{                                                                                          \
		.size = (bytes), .lock = PTHREAD_MUTEX_INITIALIZER                                 \
	}

/* An item, all zero; NULL if there is no memory. */
void *meta_take(struct meta_pool *pool);
void meta_put(struct meta_pool *pool, void *item);

/* A block of `bytes`, page-aligned and all zero; a page takes memory only when it is written.  NULL
 * if there is no address space.  Async-signal-safe. */
void *meta_block(size_t bytes);
void meta_block_free(void *block, size_t bytes);

#endif
