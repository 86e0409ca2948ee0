/*
 * report_nodes.h: the part of the report about NUMA nodes.
 */
#ifndef UNSPLIT_REPORT_REPORT_NODES_H
#define UNSPLIT_REPORT_REPORT_NODES_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/nodes.h"
#include "report/emitter.h"
#include "report/report.h"

/* Bytes on each node. */
struct node_census {
	uint64_t bytes[NODES_MOST];
};

/* Where the memory of these ranges lies.  Only one page in a sixteenth of a unit is asked for, and
 * fewer where the ranges are very big; each stands for what it was taken from, so units that are
 * partly backed are estimated.  Returns 0 or an errno value.  Allocates nothing, keeps errno. */
int nodes_census(const struct report_range *ranges, size_t count, struct node_census *result);

/* The bytes of all ranges on each node; nothing on a machine with one. */
void report_nodes(struct emitter *e, const struct report_range *ranges, size_t count);

#endif
