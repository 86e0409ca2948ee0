#include "heap/heap.h"

#include <errno.h>
#include <mimalloc.h>
#include <pthread.h>
#include <string.h>

#include "heap/bootstrap.h"
#include "heap/large.h"
#include "heap/proof.h"
#include "heap/small.h"
#include "heap/wrapup.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "map/map.h"
#include "options.h"
#include "release/keeper.h"
#include "release/release.h"
#include "report/report.h"
#include "report/stats.h"
#include "site/callers.h"
#include "site/learn.h"
#include "site/site.h"

/* ---- start ---- */

enum { HEAP_NEW, HEAP_STARTING, HEAP_READY };

static int heap_state; /* an enum; grows only */
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *starter;

/* Pointers below this are mimalloc's, NULL included: if its zone is the lowest of what free() may
 * see.  It is not under valgrind, say, which maps all else low; then every free takes the slow
 * path. */
static uintptr_t free_limit(void)
{
	uintptr_t limit = small_free_limit();

	return limit <= large_lowest() && limit <= bootstrap_lowest() ? limit : 0;
}

static void start(void)
{
	machine_init();
	options_load();
	threads_init();
	map_init();
	if (small_init() || large_init())
		say("cannot reserve address space; requests for memory may fail");
	release_init(&(struct release_scope){
		.fillers = large_fillers,
		.filler_count = &large_filler_count,
		.ledgers = small_ledgers,
		.ledger_count = &small_ledger_count,
		.enter = thread_enter,
		.leave = thread_leave_call,
	});
	threads_set_limits(MI_SMALL_SIZE_MAX + 1 - FAST_LEAST, free_limit());
}

/* Make the heap ready.  False while this very thread is making it so: what the start itself
 * allocates (ld.so's dlsym and dladdr may) comes from a small static buffer. */
static bool ready(void)
{
	if (__builtin_expect(__atomic_load_n(&heap_state, __ATOMIC_ACQUIRE) == HEAP_READY, 1))
		return true;
	if (__atomic_load_n(&starter, __ATOMIC_RELAXED) == &self)
		return false;
	pthread_mutex_lock(&start_lock);
	if (heap_state == HEAP_NEW) {
		starter = &self;
		start();
		starter = NULL;
		__atomic_store_n(&heap_state, HEAP_READY, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&start_lock);
	return true;
}

void heap_constructor(void)
{
	ready();
	threads_init_late();
	site_init();
	if (site_small)
		threads_close_fast_path();
	wrapup_init();
	if (options.background == BACKGROUND_ON)
		keeper_start();
	if (strcmp(options.report, "off") != 0)
		report_start();
}

/* ---- the end ---- */

static size_t report_ranges(struct report_range *ranges, size_t most)
{
	size_t n = 0;

	for (struct zone *z = zones_first(); z && n < most; z = z->next)
		ranges[n++] = (struct report_range){z->policy.name, z->data.base,
		                                    at_acquire(&z->data.ready)};
	return n;
}

static size_t account(void *unused)
{
	(void)unused;
	proof_account();
	return 0;
}

int heap_report(const char *where)
{
	enum { MOST = 64 };
	struct report_range ranges[MOST];

	heap_run(account, NULL);
	return report_write(where, ranges, report_ranges(ranges, MOST));
}

/* ---- the calls ---- */

/* The fast path came here with in_call set: hence thread_leave() on every way out that does not go
 * through INSIDE(). */
static void *no_memory(void)
{
	thread_leave();
	stat_add(out_of_memory, 1);
	errno = ENOMEM;
	return NULL;
}

static void *starting(size_t n, size_t align)
{
	void *p = bootstrap_alloc(n, align);

	thread_leave();
	return p ? p : no_memory();
}

/* Whether mimalloc serves n bytes.  Its pages of 64 KiB hold a few large objects each, and stay for
 * one survivor; an extent goes by itself.  So above a page, what wastes no more as an extent than
 * in mimalloc's size classes (a quarter of itself, about) is one. */
static bool is_small(size_t n)
{
	size_t extent = (n + machine.grain - 1) & -machine.grain;

	return n <= machine.grain || (n <= options.small_max && extent - n > n / 3);
}

/* Serve a request of any size.  In a thread past its end only extents are handed out: mimalloc
 * would make a new heap for it that nobody takes down. */
static void *serve(size_t n, const struct plan *plan, bool small_allowed)
{
	void *p = small_allowed && is_small(n) ? small_malloc(n, plan) : NULL;

	/* Extents also stand in where mimalloc finds no more address space. */
	return p ? p : large_alloc(n, 1, plan, NULL);
}

/* What a call leaves behind to be done when it is over. */
static void after_call(void)
{
	if (__builtin_expect(release_wants_keeper(), 0) && self.state == THREAD_ATTACHED)
		keeper_start();
}

/* Run `work`, which yields a pointer, inside the heap; `on_time` is false in a thread past its
 * end. */
#define INSIDE(work)                                                                               \
	({                                                                                         \
		bool on_time = thread_enter();                                                     \
		if (!on_time)                                                                      \
			thread_late_lock();                                                        \
		void *result = (work);                                                             \
		proof_check();                                                                     \
		if (!on_time)                                                                      \
			thread_late_unlock();                                                      \
		else                                                                               \
			thread_leave();                                                            \
		result;                                                                            \
	})

/* Half-way between the fast path and INSIDE(): for small blocks in a thread that is known and whose
 * gate is open (heap/thread.h).  NULL if the slow path must do it. */
#define AT_HAND(work)                                                                              \
	({                                                                                         \
		void *result = NULL;                                                               \
		*(volatile size_t *)&self.in_call = 1;                                             \
		if (__builtin_expect(self.plain_limit != 0, 1))                                    \
			result = (work);                                                           \
		thread_leave();                                                                    \
		result;                                                                            \
	})

/* What a rule says of this request.  To find it may call malloc, so the thread is not inside. */
static const struct plan *plan_of(size_t n, const void *caller)
{
	if (__builtin_expect(!site_active, 1) || !caller || (is_small(n) && !site_small))
		return NULL;
	thread_leave();
	return site_lookup(SITE_MALLOC, n, caller);
}

static __attribute__((noinline)) void *malloc_slow(size_t n, const void *caller)
{
	if (!ready())
		return starting(n, 16);
	if (n > PTRDIFF_MAX)
		return no_memory();
	const struct plan *plan = plan_of(n, caller);
	void *p = INSIDE(serve(n, plan, on_time));
	after_call();
	return p ? p : no_memory();
}

/* The fast path came here with in_call set, and this may call malloc. */
static void sample(size_t n, const void *caller)
{
	thread_leave();
	site_sample(n, caller);
}

/* Whether a rule may have a say in a small request: usually none has. */
static inline bool is_planned(size_t n, const void *caller)
{
	if (__builtin_expect(!site_small, 1) || !caller)
		return false;
	if (__builtin_expect(options.sites, 0))
		sample(n, caller);
	return !caller_is_plain(caller);
}

static __attribute__((noinline)) void *malloc_any(size_t n, const void *caller)
{
	void *p = NULL;

	if (is_small(n) && !is_planned(n, caller))
		p = AT_HAND(mi_malloc(n < 16 ? 16 : n));
	return __builtin_expect(p != NULL, 1) ? p : malloc_slow(n, caller);
}

/* The fast path where rules may have a say in small requests, but none has in this one.  Its
 * instructions are counted, too. */
void *heap_malloc(size_t n, const void *caller)
{
	volatile size_t *in_call = &self.in_call;

	/* No rule has: the table of callers, of some pages, is not even looked at. */
	if (self.fast_limit)
		return malloc_any(n, caller);
	if (caller_is_plain(caller)) {
		*in_call = n;
		if (__builtin_expect(n - FAST_LEAST < self.plain_limit, 1)) {
			void *p = mi_malloc_small(n);

			if (__builtin_expect(p != NULL, 1)) {
				*in_call = 0;
				return p;
			}
			n = *in_call;
			caller = NULL;
		}
	}
	return malloc_any(n, caller);
}

static void *serve_zeroed(size_t n, const struct plan *plan, bool small_allowed)
{
	bool zero = false;

	void *p = small_allowed && is_small(n) ? small_zalloc(n, plan) : NULL;

	if (p)
		return p;
	p = large_alloc(n, 1, plan, &zero);
	return p && !zero ? memset(p, 0, n) : p;
}

static __attribute__((noinline)) void *calloc_slow(size_t n, const void *caller)
{
	if (!ready())
		return starting(n, 16);
	if (n > PTRDIFF_MAX)
		return no_memory();
	const struct plan *plan = plan_of(n, caller);
	void *p = INSIDE(serve_zeroed(n, plan, on_time));
	after_call();
	return p ? p : no_memory();
}

void *heap_calloc(size_t count, size_t size, const void *caller)
{
	size_t n;
	void *p = NULL;

	if (__builtin_mul_overflow(count, size, &n))
		return no_memory();
	if (is_small(n) && !is_planned(n, caller))
		p = AT_HAND(mi_zalloc(n < 16 ? 16 : n));
	return __builtin_expect(p != NULL, 1) ? p : calloc_slow(n, caller);
}

static void *serve_aligned(size_t align, size_t n, const struct plan *plan, bool small_allowed)
{
	if (align < machine.page && n + align <= options.small_max && small_allowed)
		return small_aligned(align, n, plan);
	return large_alloc(n, align, plan, NULL);
}

void *heap_aligned(size_t align, size_t n, const void *caller)
{
	if (align <= 16)
		return heap_malloc(n, caller);
	if (!ready())
		return starting(n, align);
	if (n > PTRDIFF_MAX || align > PTRDIFF_MAX - n)
		return no_memory();
	const struct plan *plan = plan_of(n, caller);
	void *p = INSIDE(serve_aligned(align, n, plan, on_time));
	after_call();
	return p ? p : no_memory();
}

static void *serve_planned(size_t n, size_t align, bool zero, const struct plan *plan,
                           bool small_allowed)
{
	if (align > 16)
		return serve_aligned(align, n, plan, small_allowed);
	return zero ? serve_zeroed(n, plan, small_allowed) : serve(n, plan, small_allowed);
}

/* While it is learned what each site does, plans have no say, and no more have rules. */
void *heap_planned(size_t n, size_t align, bool zero, const struct plan *plan, const void *caller)
{
	if (!ready())
		return starting(n, align);
	if (n > PTRDIFF_MAX || align > PTRDIFF_MAX - n)
		return no_memory();
	if (!plan || learn_active)
		plan = plan_of(n, caller);
	void *p = INSIDE(serve_planned(n, align, zero, plan, on_time));
	after_call();
	return p ? p : no_memory();
}

static void *release_block(void *p)
{
	if (large_owns(p))
		large_free(p);
	else if (small_owns(p))
		small_free(p);
	else
		die("free(%p): not a block of this heap", p);
	return NULL;
}

void heap_free(void *p)
{
	if (!p || bootstrap_owns(p)) {
		thread_leave();
		return;
	}
	int saved_errno = errno;
	INSIDE(release_block(p));
	after_call();
	errno = saved_errno;
}

static size_t usable(const void *p)
{
	if (bootstrap_owns(p))
		return bootstrap_usable(p);
	if (large_owns(p))
		return large_usable(p);
	if (!small_owns(p))
		die("malloc_usable_size(%p): not a block of this heap", p);
	return small_usable(p);
}

/* Some programs, redis for one, ask for each block. */
size_t heap_usable(const void *p)
{
	if (!p)
		return 0;
	return __builtin_expect((uintptr_t)p < self.free_limit, 1) ? small_usable(p) : usable(p);
}

/* Move a block from one server to another. */
static void *move_block(void *p, size_t n, const struct plan *plan, bool small_allowed)
{
	void *to = serve(n, plan, small_allowed);
	size_t old = usable(p);

	if (!to)
		return NULL;
	memcpy(to, p, old < n ? old : n);
	if (!bootstrap_owns(p))
		release_block(p);
	return to;
}

/* A block that grows stays where the plan of its first request put it, as long as one server
 * serves it. */
static void *resize(void *p, size_t n, const struct plan *plan, bool small_allowed)
{
	bool to_small = small_allowed && is_small(n);

	if (large_owns(p))
		return to_small ? move_block(p, n, plan, small_allowed) : large_realloc(p, n);
	if (small_owns(p) && to_small)
		return small_realloc(p, n);
	return move_block(p, n, plan, small_allowed);
}

static __attribute__((noinline)) void *realloc_slow(void *p, size_t n, const void *caller)
{
	if (!p)
		return heap_malloc(n, caller);
	if (!n) {
		heap_free(p);
		return NULL;
	}
	if (n > PTRDIFF_MAX)
		return no_memory();
	ready();
	const struct plan *plan = plan_of(n, caller);
	void *to = INSIDE(resize(p, n, plan, on_time));
	after_call();
	return to ? to : no_memory();
}

void *heap_realloc(void *p, size_t n, const void *caller)
{
	void *to = NULL;

	if (p && n && is_small(n) && (uintptr_t)p < self.free_limit)
		to = AT_HAND(mi_realloc(p, n < 16 ? 16 : n));
	return __builtin_expect(to != NULL, 1) ? to : realloc_slow(p, n, caller);
}

static void *collect(bool on_time)
{
	if (on_time) {
		small_collect();
		large_collect();
	}
	return release_everything() ? &self : NULL;
}

bool heap_trim(void)
{
	return ready() && INSIDE(collect(on_time));
}

size_t heap_run(size_t (*work)(void *), void *argument)
{
	size_t yield = 0;

	if (!ready())
		return 0;
	INSIDE((yield = work(argument), NULL));
	after_call();
	return yield;
}

struct heap_figures heap_figures(void)
{
	struct heap_figures f = {stat_get(small_used) + stat_get(large_used), 0};

	for (struct zone *z = zones_first(); z; z = z->next)
		f.usable += at_acquire(&z->data.ready);
	return f;
}
