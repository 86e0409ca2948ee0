#include "heap/small.h"

#include <errno.h>
#include <mimalloc.h>
#include <pthread.h>
#include <sys/mman.h> /* PROT_*, MADV_*: no call is made from here */

#include "heap/proof.h"
#include "kernel/got.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "heap/thread.h"
#include "pmd/meta.h"
#include "release/keeper.h"
#include "release/release.h"
#include "report/stats.h"
#include "table.h"

TABLE struct ledger small_ledgers[SMALL_ZONES];
size_t small_ledger_count;

/* mimalloc's segments; arenas must be aligned to them. */
enum { SEGMENT = 32 << 20 };

/* Where zones go: mimalloc knows its own segments only below 20 TiB, and no executable, stack or
 * mmap of the program comes near. */
#define SMALL_BYTES   (1ul << 39)
#define SMALL_HINT(n) ((char *)(8ul << 40) + (n)*SMALL_BYTES)

static pthread_mutex_t grow_lock = PTHREAD_MUTEX_INITIALIZER;

static struct ledger *ledger_of(const void *p)
{
	size_t n = at_acquire(&small_ledger_count);

	for (size_t i = 0; i < n; i++)
		if (zone_owns(&small_ledgers[i].zone, p))
			return &small_ledgers[i];
	return NULL;
}

/* Zones as mimalloc knows them: as arenas, by a number. */
static struct {
	mi_arena_id_t id;
	unsigned node; /* whose threads it serves */
} arenas[SMALL_ZONES];

/* The newest zone of a node, else any. */
static size_t zone_for(unsigned node)
{
	size_t n = at_acquire(&small_ledger_count);

	while (n-- > 1)
		if (arenas[n].node == node)
			return n;
	return 0;
}

/* Whether there is a zone of the node that this thread is on, or a newer one, than it has. */
static bool has_nearer_zone(void)
{
	return zones_per_node() && zone_for(kernel->node()) != self.small_zone;
}

/* Should this thread have its memory from another zone than it has?  Not for each move that the
 * scheduler makes: what a thread that comes and goes has left in each of its heaps would be held
 * twice.  But if it was bound to another node than where it chose its zone, it will not be back. */
static bool astray(void)
{
	return has_nearer_zone() && kernel->kept_from(self.small_processor);
}

/* ---- what mimalloc calls instead of libc ---- */

/* What its slots held before: libc's, for memory that is not ours to keep a ledger of. */
static int (*libc_madvise)(void *addr, size_t bytes, int advice);
static int (*libc_mprotect)(void *addr, size_t bytes, int protection);

static int fail(int error)
{
	errno = error;
	return -1;
}

/* We are inside mimalloc, where no thread can be created: if the keeper is wanted, this thread's
 * next call sees to it. */
static void tick(void)
{
	release_tick();
	if (release_wants_keeper() && !keeper_running())
		thread_recall();
}

static int on_madvise(void *addr, size_t bytes, int advice)
{
	struct ledger *l = ledger_of(addr);

	if (!l || (advice != MADV_DONTNEED && advice != MADV_FREE))
		return libc_madvise(addr, bytes, advice);
	ledger_give(l, addr, bytes);
	tick();
	return 0;
}

static int on_mprotect(void *addr, size_t bytes, int protection)
{
	struct ledger *l = ledger_of(addr);

	if (!l || protection != (PROT_READ | PROT_WRITE))
		return libc_mprotect(addr, bytes, protection);
	if (ledger_take(l, addr, bytes))
		return fail(ENOMEM);
	proof_check();
	tick();
	release_filling_small(l, addr);
	if (astray())
		thread_recall();
	return 0;
}

/* ---- zones ---- */

/* Give mimalloc one more zone.  Not committed, so that it reports what it takes; unless it cannot
 * report, then it gets all of it and never gives a part back.  mimalloc itself knows of no node:
 * it would refuse an arena to a thread that has moved to another. */
static int add_zone(unsigned node)
{
	static const struct zone_policy policy = {.name = "small", .pages = ZONE_WHEN_PROVEN};
	size_t n = small_ledger_count, bytes = zone_share(SMALL_BYTES);

	if (n == SMALL_ZONES ||
	    ledger_open(&small_ledgers[n], &policy, SMALL_HINT(n), bytes, SEGMENT, SEGMENT))
		return ENOMEM;
	struct prefix *data = &small_ledgers[n].zone.data;
	bool reports = libc_madvise && libc_mprotect;
	if (!reports && prefix_need(data, data->bytes))
		return ENOMEM;
	bool managed = mi_manage_os_memory_ex(data->base, data->bytes, !reports, false, true, -1,
	                                      false, &arenas[n].id);
	arenas[n].node = node;
	at_publish(&small_ledger_count, n + 1);
	return managed ? 0 : ENOMEM;
}

/* ---- a thread's heaps ---- */

/* Beside the one that mimalloc makes by itself: for what rules have a plan for and, where there are
 * several nodes, for each zone that the thread had its memory from. */
enum { THREAD_HEAPS = 15 };

struct thread_heaps {
	struct {
		const struct plan *plan; /* or NULL */
		size_t zone;             /* 0 where there is one node */
		mi_heap_t *heap;
	} of[THREAD_HEAPS];
};

static struct meta_pool thread_heaps_pool = META_POOL(sizeof(struct thread_heaps));

/* A heap that is tied to an arena takes neither a free segment of another arena from mimalloc's
 * cache nor one that an ended thread has left. */
static mi_heap_t *new_heap(void)
{
	return zones_per_node() ? mi_heap_new_in_arena(arenas[self.small_zone].id) : mi_heap_new();
}

static mi_heap_t *stand_in(const struct plan *plan)
{
	static bool said;

	if (plan)
		stat_add(plans_unmet, 1);
	if (plan && !at_swap(&said, true))
		say("a thread has small objects under more than %d plans, or there is no memory "
		    "for "
		    "one more heap; its usual heap serves the others",
		    THREAD_HEAPS);
	return mi_heap_get_default();
}

/* Beyond so many, or without memory, the one that the thread has does. */
static mi_heap_t *heap_for(const struct plan *plan)
{
	struct thread_heaps *mine = self.heaps;

	if (!mine)
		mine = self.heaps = meta_take(&thread_heaps_pool);
	for (size_t i = 0; mine && i < THREAD_HEAPS; i++) {
		if (!mine->of[i].heap) {
			mine->of[i].heap = new_heap();
			mine->of[i].plan = plan;
			mine->of[i].zone = self.small_zone;
		}
		if (mine->of[i].plan == plan && mine->of[i].zone == self.small_zone &&
		    mine->of[i].heap)
			return mine->of[i].heap;
	}
	return stand_in(plan);
}

/* Where there are several nodes, a thread has all its memory from one zone at a time, that of the
 * node it runs on. */
static void take_zone(size_t zone)
{
	self.small_zone = zone;
	self.small_processor = kernel->processor();
	mi_heap_set_default(heap_for(NULL));
}

void small_settle(void)
{
	if (zones_per_node() && (!self.heaps || astray()))
		take_zone(zone_for(kernel->node()));
}

/* All of the memory that this thread's heap may use is in use: is there address space for more? */
static bool grow(void)
{
	unsigned node = zones_per_node() ? kernel->node() : 0;
	size_t before = at_acquire(&small_ledger_count);

	pthread_mutex_lock(&grow_lock);
	bool grown = small_ledger_count != before || has_nearer_zone() || !add_zone(node);
	pthread_mutex_unlock(&grow_lock);
	if (grown && zones_per_node())
		take_zone(zone_for(node));
	return grown;
}

static void set_mimalloc_options(void)
{
	mi_option_set(mi_option_eager_commit, 0);
	mi_option_set(mi_option_eager_commit_delay, 0);
	/* Report free spans at once: what to keep is decided in release/. */
	mi_option_set(mi_option_decommit_delay, 0);
	mi_option_set(mi_option_segment_decommit_delay, 0);
	mi_option_set(mi_option_page_reset, 0);
	mi_option_set(mi_option_limit_os_alloc, 1);
	mi_option_set(mi_option_use_numa_nodes, 1);
	mi_option_set(mi_option_large_os_pages, 0);
	mi_option_set(mi_option_show_errors, 0);
	/* A slice of the ledger must be mimalloc's slice, else part of one would be given. */
	mi_option_set(mi_option_allow_decommit, machine.unit == 32 * (64ul << 10));
}

static void listen_to_mimalloc(void)
{
	struct got_patch patches[] = {
		{.symbol = "madvise", .replacement = (void *)on_madvise},
		{.symbol = "mprotect", .replacement = (void *)on_mprotect},
	};

	got_patch((void *)mi_malloc, patches, 2);
	*(void **)&libc_madvise = patches[0].old;
	*(void **)&libc_mprotect = patches[1].old;
}

int small_init(void)
{
	listen_to_mimalloc();
	set_mimalloc_options();
	int error = add_zone(0);
	for (unsigned node = 1;
	     !error && zones_per_node() && node < kernel->nodes() && node < SMALL_ZONES / 2; node++)
		error = add_zone(node);
	return error;
}

uintptr_t small_free_limit(void)
{
	uintptr_t limit = 0;

	for (size_t i = 0; i < small_ledger_count; i++) {
		const struct prefix *data = &small_ledgers[i].zone.data;

		if (data->base != SMALL_HINT(i))
			return 0;
		limit = (uintptr_t)data->base + data->bytes;
	}
	return limit;
}

bool small_owns(const void *p)
{
	return ledger_of(p) != NULL;
}

/* ---- the calls ---- */

static size_t at_least_16(size_t n)
{
	return n < 16 ? 16 : n;
}

/* Retry an allocation that failed, after more address space was found or memory given back. */
#define RETRY(expression)                                                                          \
	({                                                                                         \
		void *p_ = (expression);                                                           \
		if (__builtin_expect(!p_, 0) && release_all())                                     \
			p_ = (expression);                                                         \
		if (__builtin_expect(!p_, 0) && grow())                                            \
			p_ = (expression);                                                         \
		p_;                                                                                \
	})

/* mimalloc's own heap of this thread, which is tied to no zone; for all that follows, too. */
static mi_heap_t *untied_heap(void)
{
	mi_heap_t *heap = mi_heap_get_backing();

	mi_heap_set_default(heap);
	return heap;
}

/* One of mimalloc's calls, from the thread's heap or from that of a plan.  Before there is nothing,
 * memory of another node will do. */
#define FROM_HEAP(plan, call, ...)                                                                 \
	({                                                                                         \
		void *q_ = (plan) ? RETRY(mi_heap_##call(heap_for(plan), __VA_ARGS__))             \
		                  : RETRY(mi_##call(__VA_ARGS__));                                 \
		if (__builtin_expect(!q_, 0) && zones_per_node())                                  \
			q_ = mi_heap_##call(untied_heap(), __VA_ARGS__);                           \
		q_;                                                                                \
	})

void *small_malloc(size_t n, const struct plan *plan)
{
	return FROM_HEAP(plan, malloc, at_least_16(n));
}

void *small_zalloc(size_t n, const struct plan *plan)
{
	return FROM_HEAP(plan, zalloc, at_least_16(n));
}

void *small_aligned(size_t align, size_t n, const struct plan *plan)
{
	/* mi_malloc_aligned() misaligns where size == align == 256, 512 or 1024. */
	return FROM_HEAP(plan, malloc_aligned_at, at_least_16(n), align, 0);
}

void *small_realloc(void *p, size_t n)
{
	const struct plan *usual = NULL;

	return FROM_HEAP(usual, realloc, p, at_least_16(n));
}

void small_free(void *p)
{
	mi_free(p);
}

size_t small_usable(const void *p)
{
	return mi_usable_size(p);
}

void small_collect(void)
{
	mi_collect(true);
	for (size_t i = 0; self.heaps && i < THREAD_HEAPS; i++)
		if (self.heaps->of[i].heap)
			mi_heap_collect(self.heaps->of[i].heap, true);
}

/* mimalloc takes down the thread's other heaps with its first. */
void small_thread_end(void)
{
	mi_thread_done();
	if (self.heaps)
		meta_put(&thread_heaps_pool, self.heaps);
	self.heaps = NULL;
}
