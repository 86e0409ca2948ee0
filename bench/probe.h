/*
 * probe.h: what the kernel says about this process and about huge pages, at one moment.
 *
 * Measuring must not disturb what is measured: everything is read by read(2) into static buffers
 * and nothing here calls malloc.  Not thread-safe: the main thread takes the probes, between
 * phases.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/* The events of /proc/vmstat that we follow.  They are counted for the whole machine, so other
 * processes' events are in there, too. */
#define PROBE_EVENTS(X)                                                                            \
	X(thp_split_pmd)                                                                           \
	X(thp_split_page)                                                                          \
	X(thp_deferred_split_page)                                                                 \
	X(thp_fault_alloc)                                                                         \
	X(thp_collapse_alloc)

struct probe {
	uint64_t rss;       /* bytes resident */
	uint64_t anonymous; /* bytes of it that are anonymous memory */
	uint64_t huge;      /* bytes of that that PMD pages map */
	uint64_t faults;    /* minor faults since the start */
	bool charged_known; /* the memory cgroup could be read */
	uint64_t charged;   /* bytes charged to it, page cache not counted; unlike rss this shows
	                     * memory that only waits for a deferred split */
#define X(name) uint64_t name;
	PROBE_EVENTS(X)
#undef X
};

/* Find the memory cgroup of this process.  Call once, before the first probe_take(). */
void probe_init(void);
void probe_take(struct probe *probe);

#endif
