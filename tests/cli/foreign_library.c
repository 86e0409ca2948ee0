/* foreign_library.c: what other versions of libunsplit look like from outside.  KIND says in what
 * they differ: 0 has no header, 1 another magic, 2 an older version, 3 fewer bytes, 4 other names.
 */
#include "report/live.h"

#if KIND == 0
extern const int unsplit_other;
__attribute__((visibility("default"))) const int unsplit_other = 1;
#else

#if KIND == 1
#define FOREIGN_MAGIC "unknown"
#else
#define FOREIGN_MAGIC LIVE_MAGIC
#endif

extern const struct unsplit_stats_header unsplit_stats_header;

__attribute__((visibility("default"))) const struct unsplit_stats_header unsplit_stats_header = {
	.head = {FOREIGN_MAGIC, LIVE_VERSION - (KIND == 2),
                 sizeof(struct unsplit_stats_header) - (KIND == 3) * 8, "0.0.7"},
	.stat_count = LIVE_STATS,
	.names = "other names",
};
#endif
