/*
 * report.h: the exit report: what was asked of the kernel beside what it gave.
 */
#ifndef UNSPLIT_REPORT_REPORT_H
#define UNSPLIT_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address range whose truth the report shows: the part of a zone that was ever used. */
struct report_range {
	const char *name; /* "small", "large" */
	const void *addr;
	size_t bytes;
};

/* Remember the system's split counters of this moment, so that the report can show what was added
 * since.  Call it at start, and only if a report was asked for: it reads /proc/vmstat. */
void report_start(void);

/* Write the report for these ranges (their huge and resident bytes are asked of the kernel) and
 * for `stats` to where `where` says: "stderr", or a path in which %p becomes the process id.
 * A path ending in ".json" gets JSON, anything else text.  Returns 0 or an errno value, after one
 * line on stderr that says what failed.  Allocates nothing, keeps errno; not async-signal-safe. */
int report_write(const char *where, const struct report_range *ranges, size_t count);

#endif
