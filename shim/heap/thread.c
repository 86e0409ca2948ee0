#include "heap/thread.h"

#include <pthread.h>
#include <sched.h>

#include "heap/large.h"
#include "heap/small.h"
#include "heap/wrapup.h"
#include "kernel/fence.h"
#include "kernel/say.h"
#include "release/release.h"
#include "report/stats.h"
#include "site/rules.h"

__thread struct thread self __attribute__((tls_model("initial-exec")));

static struct {
	pthread_mutex_t lock;
	struct thread *first;
	struct thread *forking; /* the thread that is in fork() and holds the lock */
	size_t fast_limit, plain_limit;
	uintptr_t free_limit;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void open_gate(struct thread *t)
{
	__atomic_store_n(&t->fast_limit, registry.fast_limit, __ATOMIC_RELAXED);
	__atomic_store_n(&t->free_limit, registry.free_limit, __ATOMIC_RELAXED);
	__atomic_store_n(&t->plain_limit, registry.plain_limit, __ATOMIC_RELAXED);
}

static void close_gate(struct thread *t)
{
	__atomic_store_n(&t->fast_limit, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->free_limit, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->plain_limit, 0, __ATOMIC_RELAXED);
}

void threads_set_limits(size_t fast_limit, uintptr_t free_limit)
{
	registry.fast_limit = registry.plain_limit = fast_limit;
	registry.free_limit = free_limit;
}

void threads_close_fast_path(void)
{
	pthread_mutex_lock(&registry.lock);
	registry.fast_limit = 0;
	for (struct thread *t = registry.first; t; t = t->next)
		__atomic_store_n(&t->fast_limit, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&registry.lock);
}

static void set_in_call(size_t value)
{
	*(volatile size_t *)&self.in_call = value;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* ---- the registry ---- */

static void lock_registry(void)
{
	if (registry.forking != &self)
		pthread_mutex_lock(&registry.lock);
}

static void unlock_registry(void)
{
	if (registry.forking != &self)
		pthread_mutex_unlock(&registry.lock);
}

static void link_self(void)
{
	self.prev = NULL;
	self.next = registry.first;
	if (registry.first)
		registry.first->prev = &self;
	registry.first = &self;
	self.state = THREAD_ATTACHED;
	open_gate(&self);
}

static void unlink_self(void)
{
	if (self.prev)
		self.prev->next = self.next;
	else
		registry.first = self.next;
	if (self.next)
		self.next->prev = self.prev;
	self.state = THREAD_LATE;
	close_gate(&self);
}

/* ---- a thread's life ---- */

/* glibc's way to run a destructor at a thread's end without a pthread key, which programs that
 * count keys would miss.  It runs before the destructors of keys. */
extern int __cxa_thread_atexit_impl(void (*run)(void *), void *arg, void *dso);
extern void *__dso_handle;

static void thread_end(void *unused)
{
	(void)unused;
	if (kernel_is_main_thread())
		return; /* exit() runs destructors too, and much is still to come after them */
	set_in_call(1);
	large_thread_end();
	small_thread_end();
	thread_leave();
	pthread_mutex_lock(&registry.lock);
	unlink_self();
	pthread_mutex_unlock(&registry.lock);
}

/* The gate was closed by a fork() in another thread: wait until that is over. */
static void wait_for_fork(void)
{
	set_in_call(0);
	pthread_mutex_lock(&registry.lock);
	pthread_mutex_unlock(&registry.lock);
}

static void enter(void)
{
	for (;;) {
		set_in_call(1);
		struct thread *forking = __atomic_load_n(&registry.forking, __ATOMIC_ACQUIRE);
		if (!forking || forking == &self)
			return;
		wait_for_fork();
	}
}

static void attach(void)
{
	set_in_call(0);
	lock_registry();
	link_self();
	unlock_registry();
	stat_add(threads, 1);
	enter();
	small_settle();
	thread_leave();
	/* This allocates, and so comes back here: by now as an ordinary call. */
	if (!kernel_is_main_thread())
		__cxa_thread_atexit_impl(thread_end, NULL, &__dso_handle);
}

/* After thread_recall(). */
static void reopen_gate(void)
{
	set_in_call(0);
	lock_registry();
	open_gate(&self);
	unlock_registry();
}

void thread_recall(void)
{
	close_gate(&self);
}

void thread_leave_call(void)
{
	thread_leave();
}

bool thread_enter(void)
{
	if (self.state == THREAD_LATE)
		return false;
	if (self.state == THREAD_NEW)
		attach();
	bool recalled = !self.plain_limit;
	if (recalled)
		reopen_gate();
	enter();
	if (recalled)
		small_settle();
	return true;
}

void thread_late_lock(void)
{
	lock_registry();
}

void thread_late_unlock(void)
{
	unlock_registry();
}

/* ---- fork ---- */

static void await_others(void)
{
	for (struct thread *t = registry.first; t; t = t->next)
		while (t != &self && __atomic_load_n(&t->in_call, __ATOMIC_ACQUIRE))
			sched_yield();
}

static void fork_prepare(void)
{
	if (self.state == THREAD_NEW)
		attach();
	pthread_mutex_lock(&registry.lock);
	__atomic_store_n(&registry.forking, &self, __ATOMIC_RELEASE);
	for (struct thread *t = registry.first; t; t = t->next)
		if (t != &self)
			close_gate(t);
	kernel_fence_all_threads();
	await_others();
}

static void fork_parent(void)
{
	for (struct thread *t = registry.first; t; t = t->next)
		open_gate(t);
	stat_add(forks, 1);
	release_note_fork();
	__atomic_store_n(&registry.forking, NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&registry.lock);
}

/* Only this thread is left.  The others' heaps stay behind, in order but ownerless; what they had
 * cached is not reused.  Freeing into them works as from any other thread. */
static void fork_child(void)
{
	registry.first = NULL;
	if (self.state == THREAD_ATTACHED)
		link_self();
	release_after_fork();
	wrapup_after_fork();
	rules_forget_counts();
	registry.forking = NULL;
	pthread_mutex_unlock(&registry.lock);
}

void threads_init(void)
{
	kernel_fence_register();
}

void threads_init_late(void)
{
	/* Registered early, our prepare handler runs after those of the program, and our others
	 * before: whatever they allocate finds the heap open. */
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}
