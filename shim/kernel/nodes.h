/*
 * nodes.h: NUMA nodes, behind the hooks of kernel.h.
 *
 * libnuma is opened only where there is more than one node or a rule names one; before that, and
 * without it, memory comes from where it comes.  All but nodes_open() are async-signal-safe and
 * keep errno.
 */
#ifndef UNSPLIT_KERNEL_NODES_H
#define UNSPLIT_KERNEL_NODES_H

#include <stddef.h>

#include "kernel/kernel.h"

/* Open libnuma; false if it is not installed.  Not before libc is up: the loader calls malloc. */
bool nodes_open(void);

enum { NODES_MOST = 1024 }; /* the kernel has no more */

int nodes_place(void *addr, size_t bytes, const struct placement *where);
unsigned nodes_here(void);
unsigned nodes_processor(void);
bool nodes_kept_from(unsigned processor);
/* One more than the highest node that has memory. */
unsigned nodes_count(void);
int nodes_locate(void *const *pages, size_t count, int *nodes);

#endif
