/*
 * simulate.h: what the simulated programs share.
 *
 * A mode is one kind of program.  Its run() is called in each of conf.threads threads, with a part
 * of its own; it does its work in phases, and all threads end each phase together by phase_end(),
 * which prints a line about it (report.h).  Plain malloc and free: it measures whatever
 * allocator it runs under.
 */
#ifndef BENCH_SIMULATE_H
#define BENCH_SIMULATE_H

#include "../clock.h"
#include "../histogram.h"
#include "../random.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 64, MIB = 1 << 20 };

extern struct options {
	uint64_t mib;   /* held by all threads together when it is full */
	uint64_t count; /* operations of all threads together; what one is, the mode says */
	uint64_t threads;
	uint64_t rest; /* seconds of nothing, where the mode has that */
	uint64_t seed;
} conf;

/* What belongs to one thread. */
struct part {
	uint64_t random;
	uint64_t live; /* bytes; what other threads freed of ours they take from theirs, below zero
	                */
	struct histogram latency; /* of the operations of this phase, in ns */
};

extern struct part parts[MAX_THREADS];

struct mode {
	const char *name;
	const char *help;
	void (*run)(struct part *self);
	struct options defaults;
	uint64_t threads_multiple; /* --threads must be one of it */
	uint64_t threads_max;
};

extern const struct mode server_mode, pipe_mode, blocks_mode, fragment_mode, fork_mode;

/* malloc that ends the program if there is no memory. */
void *take(size_t size);
void *take_more(void *data, size_t size);

/* Zeroed memory for a table: not the allocator's, and in huge pages whatever that does. */
void *map_table(size_t bytes);

/* Wait for all threads, let the first one print what the phase came to, and start the next. */
void phase_end(struct part *self, const char *name);

/* This thread's share of what conf says is for all. */
static inline size_t share_of(uint64_t all)
{
	return (size_t)(all / conf.threads);
}

/* So that the compiler does not leave out the reading whose sum this is. */
static inline void keep(uint64_t sum)
{
	__asm__ volatile("" : : "r"(sum));
}

#endif
