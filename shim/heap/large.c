#include "heap/large.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "heap/proof.h"
#include "heap/thread.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "options.h"
#include "pmd/meta.h"
#include "release/release.h"
#include "report/stats.h"
#include "site/learn.h"
#include "table.h"

TABLE struct filler large_fillers[LARGE_FILLERS];
size_t large_filler_count;

/* A zone is address space only.  One is enough unless RLIMIT_AS made it small. */
#define LARGE_BYTES (2ul << 40)
/* Above the small zones, which spares free() a comparison (heap.c), and below what valgrind can
 * map, so that instructions counted there are those that run elsewhere. */
#define LARGE_HINT ((void *)(12ul << 40))

static pthread_mutex_t grow_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- which filler ---- */

static struct filler *filler_of(const void *p)
{
	size_t n = at_acquire(&large_filler_count);

	for (size_t i = 0; i < n; i++)
		if (filler_zone_of(&large_fillers[i], p))
			return &large_fillers[i];
	return NULL;
}

static bool same_policy(const struct filler_policy *a, const struct filler_policy *b)
{
	const struct placement *p = &a->zone.placement, *q = &b->zone.placement;

	return a->zone.pages == b->zone.pages && p->mode == q->mode && p->node == q->node &&
	       a->release == b->release && a->heal == b->heal &&
	       !strcmp(a->zone.name, b->zone.name);
}

static struct filler *find_filler(const struct filler_policy *policy)
{
	size_t n = at_acquire(&large_filler_count);

	for (size_t i = 0; i < n; i++)
		if (same_policy(&large_fillers[i].policy, policy))
			return &large_fillers[i];
	return NULL;
}

static struct filler *open_filler(const struct filler_policy *policy)
{
	size_t n = large_filler_count;
	void *hint = n ? NULL : LARGE_HINT;

	filler_init(&large_fillers[n], policy);
	if (filler_add_zone(&large_fillers[n], hint, zone_share(LARGE_BYTES), machine.unit))
		return NULL;
	at_publish(&large_filler_count, n + 1);
	return &large_fillers[n];
}

static struct filler *add_filler(const struct filler_policy *policy)
{
	struct filler *f;

	pthread_mutex_lock(&grow_lock);
	f = find_filler(policy);
	if (!f && large_filler_count < LARGE_FILLERS)
		f = open_filler(policy);
	pthread_mutex_unlock(&grow_lock);
	return f;
}

/* A plan that finds no zones of its kind is not met. */
static struct filler *stand_in(void)
{
	static bool said;

	stat_add(plans_unmet, 1);
	if (!at_swap(&said, true))
		say("rules and plans ask for more than %d kinds of zones, or there is no address "
		    "space for one more (each combination of pages, release, heal, node and name "
		    "is a kind); the usual zone serves the others",
		    LARGE_FILLERS);
	return &large_fillers[0];
}

/* The filler with this policy; the first if there can be no more. */
static struct filler *filler_with(const struct filler_policy *policy)
{
	struct filler *f = find_filler(policy);

	if (!f && at_acquire(&large_filler_count) < LARGE_FILLERS)
		f = add_filler(policy);
	return f ? f : stand_in();
}

/* What serves this thread if no rule says otherwise: its node's own zones.  They are not tied to
 * the node: as everywhere, memory comes from where it is first touched, and then is reused there.
 */
static struct filler_policy usual_policy(void)
{
	struct filler_policy policy = {
		.zone = {.name = "large", .pages = ZONE_WHEN_PROVEN},
		.heal = true,
	};

	if (zones_per_node())
		policy.zone.placement.node = kernel->node();
	return policy;
}

static struct filler_policy policy_of(const struct plan *plan)
{
	struct filler_policy policy = usual_policy();

	if (plan->pages == PAGES_HUGE && proof_may_be_huge())
		policy.zone.pages = ZONE_HUGE;
	if (plan->pages == PAGES_BASE) {
		policy.zone.pages = ZONE_BASE;
		policy.zone.name = "large base";
	}
	if (plan->name[0])
		policy.zone.name = plan->name;
	policy.release = plan->release;
	policy.heal = plan->heal != SWITCH_OFF;
	if (plan->node_mode)
		policy.zone.placement = plan_placement(plan);
	return policy;
}

static struct filler *filler_for(const struct plan *plan)
{
	if (!plan && !zones_per_node())
		return &large_fillers[0];
	struct filler_policy policy = plan ? policy_of(plan) : usual_policy();
	return filler_with(&policy);
}

/* ---- this thread's freed extents ---- */

/* By length in pages; linked through their first word, newest first.  All of one filler. */
enum { CACHED_PAGES = 64 };

struct extent_cache {
	struct filler *of;
	size_t bytes;
	uint64_t filled; /* lists that are not empty; bit i: length i + 1 */
	void *list[CACHED_PAGES];
};

static struct meta_pool cache_pool = META_POOL(sizeof(struct extent_cache));

static void cache_push(struct extent_cache *c, void *p, size_t pages)
{
	filler_hide(c->of, p);
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
	filler_show(c->of, p);
	return p;
}

/* Free cached extents, the longest first, until at most `bytes` are cached. */
static void cache_shrink(struct extent_cache *c, size_t bytes)
{
	while (c->bytes > bytes) {
		size_t pages = 64 - (size_t)__builtin_clzll(c->filled);

		filler_free(c->of, cache_pop(c, pages));
	}
}

/* This thread's cache, if it is for extents of `f`.  A thread that moved to another node empties it
 * for that node's. */
static struct extent_cache *my_cache(struct filler *f)
{
	struct extent_cache *c = self.cache;

	if (!c && self.state == THREAD_ATTACHED && options.thread_cache)
		c = self.cache = meta_take(&cache_pool);
	if (c && c->of != f && f == filler_for(NULL)) {
		if (c->of)
			cache_shrink(c, 0);
		c->of = f;
	}
	return c && c->of == f ? c : NULL;
}

/* Keep a freed extent for this thread; false if it is not worth it. */
static bool cache_keep(struct filler *f, void *p, size_t pages)
{
	if (pages > CACHED_PAGES || pages << machine.grain_shift > options.thread_cache / 4)
		return false;
	struct extent_cache *c = my_cache(f);
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
	struct filler_policy policy = usual_policy();

	return open_filler(&policy) ? 0 : ENOMEM;
}

uintptr_t large_lowest(void)
{
	uintptr_t lowest = UINTPTR_MAX;

	for (size_t f = 0; f < at_acquire(&large_filler_count); f++)
		for (size_t i = 0; i < at_acquire(&large_fillers[f].zone_count); i++)
			if ((uintptr_t)large_fillers[f].zones[i].zone.data.base < lowest)
				lowest = (uintptr_t)large_fillers[f].zones[i].zone.data.base;
	return lowest;
}

bool large_owns(const void *p)
{
	return filler_of(p) != NULL;
}

static size_t pages_of(size_t n)
{
	return (n + machine.grain - 1) >> machine.grain_shift;
}

/* One more zone, with room for `r`; unless another thread just added one. */
static bool grow(struct filler *f, const struct filler_request *r, size_t zones_before)
{
	size_t least = ((r->pages + r->align) << machine.grain_shift) + machine.unit;
	size_t bytes = zone_share(LARGE_BYTES);
	bool grown = true;

	least = (least + machine.unit - 1) & ~(machine.unit - 1);
	pthread_mutex_lock(&grow_lock);
	if (at_acquire(&f->zone_count) == zones_before)
		grown = !filler_add_zone(f, NULL, bytes > least ? bytes : least, least);
	pthread_mutex_unlock(&grow_lock);
	return grown;
}

static void *alloc_extent(struct filler *f, const struct filler_request *r, bool *zero)
{
	size_t zones = at_acquire(&f->zone_count);
	void *p = filler_alloc(f, r, zero);

	stat_add(extents_made, 1);
	if (!p && release_all())
		p = filler_alloc(f, r, zero);
	if (!p && grow(f, r, zones))
		p = filler_alloc(f, r, zero);
	return p;
}

/* Before there is nothing, memory of another kind will do, or of another node. */
static void *alloc_anywhere(struct filler **f, const struct filler_request *r, bool *zero)
{
	void *p = alloc_extent(*f, r, zero);

	for (size_t i = 0; !p && i < at_acquire(&large_filler_count); i++) {
		*f = &large_fillers[i];
		p = filler_alloc(*f, r, zero);
	}
	return p;
}

static void *alloc_cached(struct filler *f, size_t pages)
{
	struct extent_cache *c = self.cache;
	void *p = c && c->of == f ? cache_pop(c, pages) : NULL;

	if (p)
		stat_add(cache_hits, 1);
	return p;
}

/* For `unsplit learn`, which takes what is resident for what was touched. */
static void record(void *p, size_t n, size_t pages, bool *zero)
{
	if (!*zero)
		*zero = learn_fresh(p, pages << machine.grain_shift);
	learn_born(p, n);
}

static __attribute__((noinline)) void *populated(void *p, size_t pages, const struct plan *plan)
{
	if (plan->populate == SWITCH_ON)
		kernel->populate(p, pages << machine.grain_shift, true);
	return p;
}

void *large_alloc(size_t n, size_t align, const struct plan *plan, bool *zero)
{
	struct filler_request r = {.pages = pages_of(n), .align = pages_of(align)};
	struct filler *f = filler_for(plan);
	bool is_zero;

	if (!r.pages)
		r.pages = 1;
	if (r.pages <= CACHED_PAGES && r.align <= 1) {
		void *p = alloc_cached(f, r.pages);
		if (p) {
			if (zero)
				*zero = false;
			return __builtin_expect(plan != NULL, 0) ? populated(p, r.pages, plan) : p;
		}
	}
	release_tick();
	zero = zero ? zero : &is_zero;
	void *p = alloc_anywhere(&f, &r, zero);
	if (p)
		release_filling(f, p);
	if (p && __builtin_expect(learn_active, 0))
		record(p, n, r.pages, zero);
	return p && plan ? populated(p, r.pages, plan) : p;
}

/* The pages of the extent at p, which must be one. */
static size_t size_of(struct filler *f, const void *p)
{
	size_t pages = f ? filler_size(f, p) : 0;

	if (__builtin_expect(!pages, 0))
		die("%p is not a block of this heap, or was freed before", p);
	return pages;
}

void large_free(void *p)
{
	struct filler *f = filler_of(p);

	if (cache_keep(f, p, size_of(f, p)))
		return;
	if (__builtin_expect(learn_active, 0))
		learn_freed(p);
	filler_free(f, p);
	release_tick();
}

size_t large_usable(const void *p)
{
	return size_of(filler_of(p), p) << machine.grain_shift;
}

/* From this size on it pays to move page tables instead of bytes (0.4 ms a GiB, K3). */
static bool worth_moving(size_t bytes)
{
	return bytes >= 4 * machine.unit;
}

/* Move what is at `from` to `to`: whole units by page table, the rest, and what the kernel refuses,
 * by copying.  False if `to` is lost. */
static bool move_contents(struct filler *f, void *to, void *from, size_t bytes)
{
	size_t moved = worth_moving(bytes) ? filler_move(f, from, to) : 0;

	if (moved == SIZE_MAX)
		return false;
	memcpy((char *)to + moved, (char *)from + moved, bytes - moved);
	return true;
}

/* A block that outgrew its place will probably grow again: leave it room to, and begin it with a
 * unit, so that it can be moved. */
static void *alloc_to_grow(struct filler *f, size_t n)
{
	struct filler_request r = {.pages = pages_of(n), .align = 1};
	bool zero;

	if (n >= machine.unit)
		r.growth = r.pages / UNIT_PAGES;
	if (worth_moving(n))
		r.align = UNIT_PAGES;
	return alloc_extent(f, &r, &zero);
}

static void record_resize(void *p, size_t n, size_t old, size_t pages)
{
	if (!learn_active)
		return;
	if (pages > old)
		learn_fresh((char *)p + (old << machine.grain_shift),
		            (pages - old) << machine.grain_shift);
	learn_moved(p, p, n);
}

void *large_realloc(void *p, size_t n)
{
	struct filler *f = filler_of(p);
	size_t old = size_of(f, p), pages = pages_of(n);

	if (pages == old || filler_resize(f, p, pages)) {
		stat_add(realloc_in_place, 1);
		record_resize(p, n, old, pages);
		return p;
	}
	void *to = alloc_to_grow(f, n);
	if (to && learn_active)
		learn_fresh(to, pages << machine.grain_shift);
	if (!to || !move_contents(f, to, p, old << machine.grain_shift))
		return NULL;
	if (learn_active)
		learn_moved(p, to, n);
	large_free(p);
	return to;
}
