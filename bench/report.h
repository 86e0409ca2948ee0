/*
 * report.h: one line of JSON about a phase of a workload.
 *
 * report_open(), then report_latency() as often as wanted, then report_close(), which flushes.
 * Nothing here calls malloc if stdout has a buffer of its own (setvbuf).  Not thread-safe.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "histogram.h"
#include "probe.h"

/* `live` is what the workload holds, in bytes; `old` was taken before the phase, `now` after. */
void report_open(const char *phase, double seconds, uint64_t live, const struct probe *old,
                 const struct probe *now);
/* Quantiles in nanoseconds, as a member called `name`. */
void report_latency(const char *name, const struct histogram *h);
void report_close(void);

#endif
