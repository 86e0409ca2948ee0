/*
 * view.h: what there is to see of a process from outside: our statistics out of its memory, if the
 * library is in it, and the truth from the kernel beside them.
 */
#ifndef UNSPLIT_CLI_VIEW_H
#define UNSPLIT_CLI_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/process.h"
#include "cli/smaps.h"
#include "release/release.h"
#include "report/live.h"
#include "report/stats.h"

/* The zones of small objects, and those of larger requests: the usual ones, and one more kind for
 * each way that rules and plans want memory. */
enum { VIEW_SMALL, VIEW_LARGE, VIEW_ZONES = VIEW_LARGE + RELEASE_FILLERS };

enum { VIEW_NAME = 48 };

/* All zones of one kind together, in bytes. */
struct view_zone {
	char name[VIEW_NAME];
	uint64_t used;
	uint64_t resident, huge;
	uint64_t broken; /* units that are backed, but not by one huge page */
};

struct view {
	/* The library's version; "" if it is not in the process, and then stats and zones are 0. */
	char release[16];
	struct unsplit_stats_header header; /* of the library: where the rest lies */
	struct stats stats;
	struct view_zone zones[VIEW_ZONES];
	size_t zone_count;
	struct view_zone all; /* of them together */
	bool broken_known;    /* the kernel has PAGEMAP_SCAN (>= 6.7) */

	struct mapping process; /* all of its mappings together */
	uint64_t charged;       /* to its memory cgroup, by all processes in that */
	bool charged_known;
};

/* Called with each zone: of which kind it is (in the order of the fillers), where the part of it
 * lies that was ever used, and whether it is advised to be huge.  Returns 0 or an errno value,
 * which ends the visit. */
typedef int (*zone_visitor)(int kind, uint64_t start, uint64_t end, bool huge, void *arg);
int view_each_zone(const struct view *v, struct process *p, zone_visitor visit, void *arg);

/* Look.  machine_init() must have been called.  0, or 1 after a line on stderr. */
int view_take(struct view *v, struct process *p);

#endif
