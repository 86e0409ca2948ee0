/* live.c: the header by which `unsplit stat` finds our statistics from outside. */
#include "report/live.h"

#include <stddef.h>

#include "abi/export.h"
#include "heap/large.h"
#include "heap/small.h"
#include "pmd/demand.h"
#include "site/modules.h"
#include "site/rules.h"
#include "site/sites.h"

extern const struct unsplit_stats_header unsplit_stats_header;

EXPORT const struct unsplit_stats_header unsplit_stats_header = {
	.head = {LIVE_MAGIC, LIVE_VERSION, sizeof(struct unsplit_stats_header), UNSPLIT_VERSION},
	.stat_count = LIVE_STATS,
	.zone = {offsetof(struct zone, data.base), offsetof(struct zone, data.ready),
                 offsetof(struct zone, huge)},
	.stats = &stats,
	.small_zones = {&small_ledgers[0].zone, sizeof(struct ledger), SMALL_ZONES, 0, 1},
	.large_zones = {&large_fillers[0].zones[0].zone, sizeof(struct filler_zone), FILLER_ZONES,
                        sizeof(struct filler), LARGE_FILLERS},
	.small_kept = {&small_ledgers[0].kept, sizeof(struct ledger), SMALL_ZONES, 0, 1},
	.large_kept = {&large_fillers[0].kept.units, sizeof(struct filler), LARGE_FILLERS, 0, 1},
	.large_names = {&large_fillers[0].policy.zone.name, sizeof(struct filler), LARGE_FILLERS, 0,
                        1},
	.large_pages = {&large_fillers[0].pack.used_pages, sizeof(struct filler), LARGE_FILLERS, 0,
                        1},
	.large_units = {&large_fillers[0].whole_units, sizeof(struct filler), LARGE_FILLERS, 0, 1},
	.units_used = &demand.units,
	.sites = {&sites_table, &sites_used, modules, &site_rules, sizeof(struct site),
                  sizeof(struct module), sizeof(struct rule)},
	.names =
#define STAT(name, unit, help) #name " "
#include "report/stats.def"
};
