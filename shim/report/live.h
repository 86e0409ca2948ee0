/*
 * live.h: what another process may read of our memory while the program runs.
 *
 * The preloaded object exports one constant, unsplit_stats_header, which says where everything
 * else is: `unsplit stat` finds it by its name and reads the rest with process_vm_readv().  Nothing
 * in it needs to be initialised, so it is right from the first instruction on, in a program that
 * crashed or never exits too.
 *
 * The head never changes, so that any version of the command can read which version it meets.
 * Everything behind it may change with the version, and with the names of the statistics.
 */
#ifndef UNSPLIT_REPORT_LIVE_H
#define UNSPLIT_REPORT_LIVE_H

#include <stdint.h>

#include "report/stats.h"

#define LIVE_SYMBOL "unsplit_stats_header"
#define LIVE_MAGIC  "UNSPLIT"

enum { LIVE_VERSION = 3 };

struct live_head {
	char magic[8];    /* LIVE_MAGIC */
	uint32_t version; /* LIVE_VERSION */
	uint32_t bytes;   /* of the whole header */
	char release[16]; /* UNSPLIT_VERSION */
};

/* `count` structs, `stride` bytes apart, in each of `groups`, `group_stride` bytes apart. */
struct live_array {
	const void *first;
	uint64_t stride, count;
	uint64_t group_stride, groups;
};

/* The names of all statistics in their order: who has other names has other counters. */
#define STAT(name, unit, help) #name " "
static const char live_names[] =
#include "report/stats.def"
	;

enum { LIVE_STATS = sizeof(struct stats) / sizeof(uint64_t) };

/* Where a zone says what it is, in bytes from its start: a pointer, a size_t, a bool. */
struct live_zone {
	uint32_t base, ready, huge;
};

/* Call sites: structs of site/sites.h, site/modules.h and site/rules.h, as this version has them.
 * Their sizes are there for who compiled them otherwise. */
struct live_sites {
	const void *table; /* void *: the first struct site; NULL while sites are not told apart */
	const void *count; /* size_t: how many there are; may be more than SITES_MOST */
	const void *modules; /* struct module[MODULES_MOST] */
	const void *rules;   /* struct rules */
	uint32_t site_bytes, module_bytes, rule_bytes;
};

struct unsplit_stats_header {
	struct live_head head;
	uint32_t stat_count; /* LIVE_STATS */
	struct live_zone zone;
	const void *stats;                          /* struct stats */
	struct live_array small_zones, large_zones; /* unused ones have ready == 0 */
	struct live_array small_kept, large_kept;   /* size_t: free units that are still backed */
	/* Of each filler: const char *; size_t: pages used in part of units, and units wholly */
	struct live_array large_names, large_pages, large_units;
	const void *units_used; /* uint64_t: units that hold something */
	struct live_sites sites;
	char names[sizeof(live_names)];
};

#endif
