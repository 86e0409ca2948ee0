#include "release/release.h"

#include <pthread.h>

#include "kernel/kernel.h"
#include "options.h"
#include "pmd/demand.h"

/*
 * Retain: wholly free units are kept for as long as demand may come back for them.  What may come
 * back is the most that was held in the last `delay`, less what is held now.  So a program that
 * frees and takes 200 MiB ten times a second returns nothing, and one that freed for good returns
 * everything one delay later.
 */
enum { SLOTS = 8 };

static struct {
	pthread_mutex_t lock; /* guards the window; never held in a system call */
	uint64_t peak[SLOTS]; /* the most units held in each of the last SLOTS slices of the delay */
	unsigned slot;
	uint64_t next; /* when the current slice ends, ns */
	bool working;  /* somebody is returning units */
} window = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct release_scope scope;

void release_init(const struct release_scope *s)
{
	scope = *s;
	pthread_mutex_lock(&window.lock);
	for (unsigned i = 0; i < SLOTS; i++)
		window.peak[i] = 0;
	window.next = 0;
	pthread_mutex_unlock(&window.lock);
}

static uint64_t slot_ns(void)
{
	return (uint64_t)options.delay * 1000000u / SLOTS;
}

/* Close the slices that ended before `now`.  Called with the lock held. */
static void advance(uint64_t now)
{
	uint64_t peak = demand_peak();
	unsigned closed = 0;

	if (!window.next)
		window.next = now + slot_ns();
	for (; now >= window.next && closed < SLOTS; closed++) {
		if (window.peak[window.slot] < peak)
			window.peak[window.slot] = peak;
		window.slot = (window.slot + 1) % SLOTS;
		window.peak[window.slot] = 0;
		window.next += slot_ns() + 1;
	}
	if (closed == SLOTS)
		window.next = now + slot_ns() + 1;
	if (window.peak[window.slot] < peak)
		window.peak[window.slot] = peak;
}

static size_t kept(void)
{
	size_t sum = filler_kept(scope.filler);

	for (size_t i = 0; i < *scope.ledger_count; i++)
		sum += ledger_kept(&scope.ledgers[i]);
	return sum;
}

size_t release_surplus(void)
{
	uint64_t now = demand_now(), peak = at_get(&demand.peak);
	size_t have = kept();

	for (unsigned i = 0; i < SLOTS; i++)
		if (window.peak[i] > peak)
			peak = window.peak[i];
	size_t want = peak > now ? peak - now : 0;
	return have > want ? have - want : 0;
}

static size_t return_units(size_t most)
{
	size_t done = filler_return(scope.filler, most);

	for (size_t i = 0; i < *scope.ledger_count && done < most; i++)
		done += ledger_return(&scope.ledgers[i], most - done);
	return done;
}

void release_tick(void)
{
	uint64_t now = kernel->now();
	size_t surplus = 0;

	if (pthread_mutex_trylock(&window.lock))
		return;
	if (!window.working) {
		if (now >= window.next)
			advance(now);
		surplus = release_surplus();
		window.working = surplus > 0;
	}
	pthread_mutex_unlock(&window.lock);
	if (!surplus)
		return;
	return_units(surplus < RELEASE_BATCH ? surplus : RELEASE_BATCH);
	__atomic_store_n(&window.working, false, __ATOMIC_RELEASE);
}

size_t release_all(void)
{
	return return_units(SIZE_MAX);
}
