#include "heap/large.h"

#include <pthread.h>
#include <string.h>

#include "heap/thread.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "options.h"
#include "pmd/meta.h"
#include "release/release.h"
#include "report/stats.h"

struct filler large;

/* A zone is address space only.  One is enough unless RLIMIT_AS made it small. */
#define LARGE_BYTES (2ul << 40)
/* Above the first small zone, which spares free() a comparison (heap.c), and below what valgrind
 * can map, so that instructions counted there are those that run elsewhere. */
#define LARGE_HINT ((void *)(12ul << 40))

/* ---- this thread's freed extents ---- */

/* By length in pages; linked through their first word, newest first. */
enum { CACHED_PAGES = 64 };

struct extent_cache {
	size_t bytes;
	uint64_t filled; /* lists that are not empty; bit i: length i + 1 */
	void *list[CACHED_PAGES];
};

static struct meta_pool cache_pool = META_POOL(sizeof(struct extent_cache));

static void cache_push(struct extent_cache *c, void *p, size_t pages)
{
	filler_hide(&large, p);
	*(void **)p = c->list[pages - 1];
	c->list[pages - 1] = p;
	c->filled |= 1ull << (pages - 1);
	c->bytes += pages << machine.grain_shift;
}

static void *cache_pop(struct extent_cache *c, size_t pages)
{
	void *p = c->list[pages - 1];

	if (!p)
		return NULL;
	c->list[pages - 1] = *(void **)p;
	if (!c->list[pages - 1])
		c->filled &= ~(1ull << (pages - 1));
	c->bytes -= pages << machine.grain_shift;
	filler_show(&large, p);
	return p;
}

/* Free cached extents, the longest first, until at most `bytes` are cached. */
static void cache_shrink(struct extent_cache *c, size_t bytes)
{
	while (c->bytes > bytes) {
		size_t pages = 64 - (size_t)__builtin_clzll(c->filled);

		filler_free(&large, cache_pop(c, pages));
	}
}

static struct extent_cache *my_cache(void)
{
	if (!self.cache && self.state == THREAD_ATTACHED && options.thread_cache)
		self.cache = meta_take(&cache_pool);
	return self.cache;
}

/* Keep a freed extent for this thread; false if it is not worth it. */
static bool cache_keep(void *p, size_t pages)
{
	if (pages > CACHED_PAGES || pages << machine.grain_shift > options.thread_cache / 4)
		return false;
	struct extent_cache *c = my_cache();
	if (!c)
		return false;
	cache_push(c, p, pages);
	if (c->bytes > options.thread_cache)
		cache_shrink(c, options.thread_cache / 2);
	return true;
}

void large_collect(void)
{
	if (self.cache)
		cache_shrink(self.cache, 0);
}

void large_thread_end(void)
{
	if (!self.cache)
		return;
	cache_shrink(self.cache, 0);
	meta_put(&cache_pool, self.cache);
	self.cache = NULL;
}

/* ---- the calls ---- */

int large_init(void)
{
	filler_init(&large);
	return filler_add_zone(&large, LARGE_HINT, zone_share(LARGE_BYTES), machine.unit);
}

uintptr_t large_lowest(void)
{
	uintptr_t lowest = UINTPTR_MAX;

	for (size_t i = 0; i < at_acquire(&large.zone_count); i++)
		if ((uintptr_t)large.zones[i].zone.data.base < lowest)
			lowest = (uintptr_t)large.zones[i].zone.data.base;
	return lowest;
}

bool large_owns(const void *p)
{
	return filler_zone_of(&large, p) != NULL;
}

static size_t pages_of(size_t n)
{
	return (n + machine.grain - 1) >> machine.grain_shift;
}

static pthread_mutex_t grow_lock = PTHREAD_MUTEX_INITIALIZER;

/* One more zone, with room for `r`; unless another thread just added one. */
static bool grow(const struct filler_request *r, size_t zones_before)
{
	size_t least = ((r->pages + r->align) << machine.grain_shift) + machine.unit;
	size_t bytes = zone_share(LARGE_BYTES);
	bool grown = true;

	least = (least + machine.unit - 1) & ~(machine.unit - 1);
	pthread_mutex_lock(&grow_lock);
	if (at_acquire(&large.zone_count) == zones_before)
		grown = !filler_add_zone(&large, NULL, bytes > least ? bytes : least, least);
	pthread_mutex_unlock(&grow_lock);
	return grown;
}

static void *alloc_extent(const struct filler_request *r, bool *zero)
{
	size_t zones = at_acquire(&large.zone_count);
	void *p = filler_alloc(&large, r, zero);

	if (!p && release_all())
		p = filler_alloc(&large, r, zero);
	if (!p && grow(r, zones))
		p = filler_alloc(&large, r, zero);
	return p;
}

void *large_alloc(size_t n, size_t align, bool *zero)
{
	struct filler_request r = {.pages = pages_of(n), .align = pages_of(align)};
	bool is_zero;

	if (!r.pages)
		r.pages = 1;
	if (r.pages <= CACHED_PAGES && r.align <= 1 && self.cache) {
		void *p = cache_pop(self.cache, r.pages);
		if (p) {
			stat_add(cache_hits, 1);
			if (zero)
				*zero = false;
			return p;
		}
	}
	stat_add(extents_made, 1);
	release_tick();
	return alloc_extent(&r, zero ? zero : &is_zero);
}

static void check_extent(size_t pages, const void *p)
{
	if (__builtin_expect(!pages, 0))
		die("%p is not a block of this heap, or was freed before", p);
}

void large_free(void *p)
{
	size_t pages = filler_size(&large, p);

	check_extent(pages, p);
	if (cache_keep(p, pages))
		return;
	filler_free(&large, p);
	release_tick();
}

size_t large_usable(const void *p)
{
	size_t pages = filler_size(&large, p);

	check_extent(pages, p);
	return pages << machine.grain_shift;
}

/* From this size on it pays to move page tables instead of bytes (0.4 ms a GiB, K3). */
static bool worth_moving(size_t bytes)
{
	return bytes >= 4 * machine.unit;
}

/* Move what is at `from` to `to`: whole units by page table, the rest, and what the kernel refuses,
 * by copying.  False if `to` is lost. */
static bool move_contents(void *to, void *from, size_t bytes)
{
	size_t moved = worth_moving(bytes) ? filler_move(&large, from, to) : 0;

	if (moved == SIZE_MAX)
		return false;
	memcpy((char *)to + moved, (char *)from + moved, bytes - moved);
	return true;
}

/* A block that outgrew its place will probably grow again: leave it room to, and begin it with a
 * unit, so that it can be moved. */
static void *alloc_to_grow(size_t n)
{
	struct filler_request r = {.pages = pages_of(n), .align = 1};
	bool zero;

	if (n >= machine.unit)
		r.growth = r.pages / UNIT_PAGES;
	if (worth_moving(n))
		r.align = UNIT_PAGES;
	stat_add(extents_made, 1);
	return alloc_extent(&r, &zero);
}

void *large_realloc(void *p, size_t n)
{
	size_t old = filler_size(&large, p), pages = pages_of(n);

	check_extent(old, p);
	if (pages == old || filler_resize(&large, p, pages)) {
		stat_add(realloc_in_place, 1);
		return p;
	}
	void *to = alloc_to_grow(n);
	if (!to || !move_contents(to, p, old << machine.grain_shift))
		return NULL;
	large_free(p);
	return to;
}
