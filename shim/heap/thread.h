/*
 * thread.h: the threads that use the heap, and standing them still for fork().
 *
 * Every call into the heap brackets itself with two plain stores to self.in_call.  fork() must not
 * copy the heap while another thread is half-way through changing it (a child that starts threads
 * would hang about once in a thousand), so before a fork each other thread is sent to the slow
 * path, by setting its limits to zero, and waited for until it is outside.  membarrier() makes the
 * plain stores visible in order.  When all threads are outside, no lock of ours is held either, so
 * fork needs to take none but the registry's.
 *
 * Lock order (each may be taken while those before it are held):
 *   registry (thread.c)  >  window (release/)  >  filler (pmd/filler.h)  >  zones (pmd/zone.c)
 * A ledger's ranks (pmd/ranks.h) and the plans (site/plans.c) are locked for a moment with nothing
 * taken meanwhile.
 * None is held in a call to mimalloc, in dlsym, in an unwinder or while printing, except that a
 * thread past its end works under the registry lock (heap_late()).
 */
#ifndef UNSPLIT_HEAP_THREAD_H
#define UNSPLIT_HEAP_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum thread_state {
	THREAD_NEW,      /* never seen: the next call takes the slow path and attaches it */
	THREAD_ATTACHED, /* in the registry */
	THREAD_LATE,     /* its end was seen; what it still does, in destructors of others, goes
	                  * under the registry lock */
};

struct extent_cache;
struct thread_heaps;

/* Kept to a few words: initial-exec TLS is scarce under dlopen. */
struct thread {
	/* Not 0 while this thread is inside the heap; the fast path stores the size asked for.
	 * Written by this thread alone; read in fork(). */
	size_t in_call;
	int state;
	/* A request n takes the fast path if n - FAST_LEAST is below this; 0 sends all to
	 * heap_malloc(). */
	size_t fast_limit;
	/* The same where rules may have a say in small requests, and no rule has; 0 as long as this
	 * thread must not come inside, because a fork() waits for it. */
	size_t plain_limit;
	/* Pointers below this are mimalloc's; 0 sends all to the slow path. */
	uintptr_t free_limit;
	struct extent_cache *cache; /* large.c */
	struct thread_heaps *heaps; /* small.c */
	size_t small_zone;          /* small.c: which its default heap takes from */
	unsigned small_processor;   /* small.c: where it was when it chose that */
	struct thread *prev, *next; /* registry lock */
};

/* Smaller requests take the slow path, which asks for 16 bytes: mimalloc aligns 8-byte blocks to 8,
 * and programs rely on 16. */
enum { FAST_LEAST = 9 };

extern __thread struct thread self __attribute__((tls_model("initial-exec")));

/* The limits that attached threads get. */
void threads_set_limits(size_t fast_limit, uintptr_t free_limit);

/* From now on every request comes to heap_malloc(): rules have a say in small ones, too. */
void threads_close_fast_path(void);

/* Begin a call on the slow path.  False if the thread is THREAD_LATE: then the caller must work
 * between thread_late_lock() and thread_late_unlock(), and keep away from mimalloc's allocation
 * functions, which would revive the thread's heap for good. */
bool thread_enter(void);

static inline void thread_leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*(volatile size_t *)&self.in_call = 0;
}

void thread_leave_call(void); /* the same, as a function */

/* Send this thread's next call to the slow path, where work can be done that cannot be done inside
 * mimalloc's. */
void thread_recall(void);

void thread_late_lock(void);
void thread_late_unlock(void);

/* Called once, early: registers what fork() needs. */
void threads_init(void);
/* Called by a constructor, when libc is up: registers the fork handlers. */
void threads_init_late(void);

#endif
