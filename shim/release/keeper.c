#include "release/keeper.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "kernel/kernel.h"
#include "options.h"
#include "pmd/atomic.h"
#include "release/release.h"

#define MS 1000000ull

/* With nothing to wait for, it stays this long, in case that more comes. */
#define LINGER        (2000 * MS)
#define LONGEST_SLEEP (250 * MS)

enum { KEEPER_NONE, KEEPER_RUNNING };

static int state;
static bool refused; /* the kernel would not have another thread: do not ask at every call */

static void sleep_ns(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
	                     .tv_nsec = (long)(ns % 1000000000u)};

	nanosleep(&t, NULL);
}

static uint64_t step(void)
{
	uint64_t wait = 0;

	if (release_scope.enter && !release_scope.enter())
		return UINT64_MAX;
	wait = release_step(kernel->now());
	if (release_scope.leave)
		release_scope.leave();
	return wait;
}

static uint64_t (*duty)(void);

void keeper_set_duty(uint64_t (*work)(void))
{
	duty = work;
}

bool keeper_has_duty(void)
{
	return duty;
}

static uint64_t until_duty(void)
{
	return duty ? duty() : UINT64_MAX;
}

static void *keeper(void *unused)
{
	uint64_t idle_since = 0;

	(void)unused;
	pthread_setname_np(pthread_self(), "unsplit");
	for (;;) {
		uint64_t wait = step(), rest = until_duty(), now = kernel->now();

		wait = rest < wait ? rest : wait;
		if (wait != UINT64_MAX)
			idle_since = 0;
		else if (!idle_since)
			idle_since = now;
		else if (now - idle_since > LINGER && options.background == BACKGROUND_AUTO)
			break;
		if (wait)
			sleep_ns(wait < LONGEST_SLEEP ? wait : LONGEST_SLEEP);
	}
	at_publish(&state, KEEPER_NONE);
	return NULL;
}

static int create(void)
{
	enum { STACK = 128 << 10 };
	pthread_attr_t attr;
	pthread_t thread;

	if (pthread_attr_init(&attr))
		return -1;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	int error = pthread_create(&thread, &attr, keeper, NULL);
	pthread_attr_destroy(&attr);
	return error;
}

void keeper_start(void)
{
	int none = KEEPER_NONE;
	sigset_t all, before;

	if (!keeper_possible() || !at_cas(&state, &none, KEEPER_RUNNING))
		return;
	/* Signals are the program's: it must find its own threads running when they come. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = create();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		at_set(&refused, true);
		at_publish(&state, KEEPER_NONE);
	}
}

bool keeper_possible(void)
{
	return options.background != BACKGROUND_OFF && !at_get(&refused);
}

bool keeper_running(void)
{
	return at_acquire(&state) != KEEPER_NONE;
}

void keeper_after_fork(void)
{
	state = KEEPER_NONE;
	refused = false;
}
