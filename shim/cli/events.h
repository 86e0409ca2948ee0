/*
 * events.h: what the kernel does to the huge pages of one process, by perf_event_open() on
 * tracepoints (K7).
 *
 * Collapses and allocations are only counted.  Splits have no tracepoint of their own, but leave a
 * mark in the memory cgroup's counters: a huge page that is split is taken from the count of huge
 * mappings alone, one that is freed whole from that of mapped pages just before.  So these two are
 * sampled, and looked at in their order.
 */
#ifndef UNSPLIT_CLI_EVENTS_H
#define UNSPLIT_CLI_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/ring.h"
#include "cli/stacks.h"

enum event_kind {
	EVENT_PAGES_LEFT, /* as many pages as a unit has are not mapped any more */
	EVENT_HUGE_LEFT,  /* a huge page is not mapped as such any more */
	EVENT_COLLAPSED,  /* base pages were made one huge page, in a call of the process */
	EVENT_ALLOCATED,  /* memory of the size of a huge page was allocated */
	EVENT_KINDS
};

struct event {
	bool present; /* the kernel has the tracepoint */
	uint64_t id;
	char filter[64];
};

/* What was counted. */
struct event_counts {
	bool splits_known; /* nor are whole_frees if not */
	uint64_t splits, whole_frees;
	uint64_t lost; /* samples that found no room: splits and whole_frees are at least so many */
	bool collapses_known, allocations_known;
	uint64_t collapses, allocations;
};

struct events {
	struct event event[EVENT_KINDS];
	int counter[EVENT_KINDS]; /* of those that are only counted; -1: not open */
	/* Of those that are sampled: a buffer for each processor. */
	struct watch {
		struct ring ring;
		uint64_t pages_left; /* the kernel's name for this processor's event */
		uint32_t freed_by;   /* thread whose pages left in the record before; 0: none */
	} * watches;
	int watch_count;
	struct event_counts counts;
	struct stacks *stacks; /* of the splits; NULL: they are not wanted */
};

/* Find the tracepoints.  machine_init() must have been called.  False after a line on stderr. */
bool events_find(struct events *e);
/* Watch process `pid`, and the children that it will have, from its next exec on.  False after a
 * line on stderr. */
bool events_open(struct events *e, pid_t pid);
/* Take note of what happens until the process ends. */
void events_follow(struct events *e, pid_t pid);
const struct event_counts *events_counts(struct events *e);

#endif
