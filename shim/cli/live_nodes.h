/*
 * live_nodes.h: on which NUMA nodes the memory of a process lies.
 */
#ifndef UNSPLIT_CLI_LIVE_NODES_H
#define UNSPLIT_CLI_LIVE_NODES_H

#include <stdint.h>

#include "cli/process.h"
#include "cli/view.h"
#include "kernel/nodes.h"
#include "report/emitter.h"

/* Bytes on one node: of the heap's zones, and of all that is mapped, files included. */
struct live_node {
	uint64_t zones[VIEW_LARGE + 1];
	uint64_t resident;
};

struct live_nodes {
	unsigned count; /* of the machine */
	struct live_node node[NODES_MOST];
};

/* Look into /proc/PID/numa_maps, page by page and not by sampling.  0 or an errno value. */
int live_nodes_take(struct live_nodes *n, const struct view *v, struct process *p);

/* Write them as a table: with the bytes of the `zones`, if the process has any.  Nothing on a
 * machine with one node. */
void live_nodes_emit(const struct live_nodes *n, struct emitter *e, bool zones);

#endif
