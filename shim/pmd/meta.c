#include "pmd/meta.h"

#include <string.h>

#include "kernel/kernel.h"

/* Enough for the caches of 25,000 threads. */
#define RANGE_BYTES (16ul << 20)

static void *take_fresh(struct meta_pool *pool)
{
	size_t bytes = RANGE_BYTES;

	while (!pool->range.base && prefix_reserve(&pool->range, NULL, bytes, machine.page))
		if ((bytes /= 2) < machine.page)
			return NULL;
	if (prefix_need(&pool->range, pool->used + pool->size))
		return NULL;
	pool->used += pool->size;
	return pool->range.base + pool->used - pool->size;
}

void *meta_take(struct meta_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	void *item = pool->free;
	if (item)
		pool->free = *(void **)item;
	else
		item = take_fresh(pool);
	pthread_mutex_unlock(&pool->lock);
	return item ? memset(item, 0, pool->size) : NULL;
}

void meta_put(struct meta_pool *pool, void *item)
{
	pthread_mutex_lock(&pool->lock);
	*(void **)item = pool->free;
	pool->free = item;
	pthread_mutex_unlock(&pool->lock);
}

static size_t whole_pages(size_t bytes)
{
	return (bytes + machine.page - 1) & -machine.page;
}

void *meta_block(size_t bytes)
{
	void *block = kernel->reserve(NULL, whole_pages(bytes));

	if (block && kernel->make_usable(block, whole_pages(bytes))) {
		meta_block_free(block, bytes);
		return NULL;
	}
	return block;
}

void meta_block_free(void *block, size_t bytes)
{
	kernel->unreserve(block, whole_pages(bytes));
}
