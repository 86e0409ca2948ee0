/*
 * pressure.h: is memory short, for this process's cgroup or for the machine?
 */
#ifndef UNSPLIT_KERNEL_PRESSURE_H
#define UNSPLIT_KERNEL_PRESSURE_H

#include <stdbool.h>

/* True if the memory cgroup (v1 or v2) is within 1/16 of its limit, page cache left out.  5 us
 * where there is no limit.  Both functions are to be called by one thread at a time. */
bool kernel_near_limit(void);
/* The same, or if pressure stall information says that tasks wait for memory.  About 20 us: for the
 * keeper, not for callers. */
bool kernel_pressure(void);

#endif
