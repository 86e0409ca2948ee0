#include "heap/wrapup.h"

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap/heap.h"
#include "heap/thread.h"
#include "kernel/kernel.h"
#include "options.h"
#include "pmd/atomic.h"
#include "release/keeper.h"
#include "report/profile.h"
#include "site/learn.h"

#define MS 1000000ull

/* How old what a killed process leaves may be, while it is learned; unless measuring takes so long
 * that it would slow the program: then it may be this many times as old as that takes. */
#define LEARN_EVERY (1000 * MS)
enum { COST_RATIO = 20 };

/* Children that no fork handler saw (vfork, clone) have all that we know, but it is their parent's.
 */
static pid_t owner;

static struct thread *writer; /* the thread that writes; NULL if none does */

/* Two threads that write at once would leave the older state; but no thread waits for itself, or
 * for ever. */
static bool begin(uint64_t patience)
{
	uint64_t until = kernel->now() + patience;
	struct thread *other = NULL;

	while (!at_cas(&writer, &other, &self)) {
		if (other == &self || kernel->now() >= until)
			return false;
		sched_yield();
		other = NULL;
	}
	return true;
}

static void end(void)
{
	at_publish(&writer, NULL);
}

static bool reports_to_file(void)
{
	return strcmp(options.report, "off") != 0 && strcmp(options.report, "stderr") != 0;
}

/* ---- the end ---- */

#define PATIENCE (2000 * MS)

static void write_files(void)
{
	if (reports_to_file())
		heap_report(options.report);
	if (learn_active)
		profile_write(options.learn);
}

/* Waiting for another thread that does so for `patience` ns at most. */
static void write_in_turn(uint64_t patience)
{
	if (!begin(patience))
		return;
	write_files();
	end();
}

void wrapup(void)
{
	if (getpid() != owner)
		return;
	if (strcmp(options.report, "stderr") == 0)
		heap_report(options.report);
	write_in_turn(PATIENCE);
}

void wrapup_at_once(void)
{
	if (self.in_call || self.state == THREAD_LATE || (!reports_to_file() && !learn_active) ||
	    getpid() != owner)
		return;
	write_in_turn(PATIENCE);
}

/* ---- and before ---- */

/* Nanoseconds until it is due again. */
static uint64_t every(void)
{
	if (!learn_active)
		return options.report_every * MS;
	return !options.report_every || options.report_every * MS > LEARN_EVERY
	               ? LEARN_EVERY
	               : options.report_every * MS;
}

static uint64_t next; /* ns */

static void write_now(void)
{
	uint64_t begun = kernel->now(), took;

	write_in_turn(0);
	took = kernel->now() - begun;
	next = begun + took + (took * COST_RATIO > every() ? took * COST_RATIO : every());
}

/* The keeper's duty: returns how long to wait. */
static uint64_t write_when_due(void)
{
	uint64_t now = kernel->now();

	if (now >= next)
		write_now();
	return next > now ? next - now : 0;
}

/* ---- start ---- */

void wrapup_init(void)
{
	owner = getpid();
	at_quick_exit(wrapup_at_once);
	if (!learn_active && !options.report_every)
		return;
	write_now(); /* so that whoever is killed soon leaves one, too */
	keeper_set_duty(write_when_due);
}

void wrapup_after_fork(void)
{
	owner = getpid();
	writer = NULL;
}
