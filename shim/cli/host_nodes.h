/*
 * host_nodes.h: the NUMA nodes of the machine, and what is free on each.
 */
#ifndef UNSPLIT_CLI_HOST_NODES_H
#define UNSPLIT_CLI_HOST_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/check.h"
#include "kernel/nodes.h"

struct host_node {
	unsigned number;
	uint64_t free;  /* bytes */
	uint64_t units; /* huge pages that could be had from free memory now */
};

/* Fill in the nodes that have memory; returns how many, 0 if that cannot be read. */
size_t host_nodes(const struct host *h, struct host_node nodes[NODES_MOST]);

enum { ALL_NODES = -1 };
/* Huge pages that could be had from free memory now, on one node.  False if it is not known. */
bool host_free_units(const struct host *h, int node, uint64_t *units);

#endif
