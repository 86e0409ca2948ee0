/* host_nodes.c: nodes from /sys, free blocks from /proc/buddyinfo. */
#include "cli/host_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/lines.h"
#include "kernel/sysfs.h"

#define SYSFS_NODE "/sys/devices/system/node/"

/* ---- free blocks ---- */

static unsigned order_of(uint64_t bytes)
{
	return (unsigned)__builtin_ctzl(bytes / (unsigned long)sysconf(_SC_PAGESIZE));
}

/* One line of /proc/buddyinfo, "Node 0, zone Normal 12 3 ...": a count of free blocks for each
 * order, in huge pages. */
static uint64_t free_units_of_line(char *line, unsigned wanted)
{
	uint64_t units = 0;
	char *count = strstr(line, "zone"), *rest;
	unsigned order = 0;

	strtok_r(count ? count : line, " ", &rest);
	strtok_r(NULL, " ", &rest); /* the zone's name */
	while ((count = strtok_r(NULL, " \n", &rest))) {
		if (order >= wanted)
			units += strtoull(count, NULL, 10) << (order - wanted);
		order++;
	}
	return units;
}

static bool is_of_node(const char *line, int node)
{
	int number;

	return node == ALL_NODES || (sscanf(line, "Node %d", &number) == 1 && number == node);
}

struct free_units {
	int node;
	unsigned wanted; /* order of a unit */
	uint64_t units;
};

static void add_free_units(char *line, void *arg)
{
	struct free_units *sum = arg;

	if (is_of_node(line, sum->node))
		sum->units += free_units_of_line(line, sum->wanted);
}

bool host_free_units(const struct host *h, int node, uint64_t *units)
{
	struct free_units sum = {.node = node, .wanted = order_of(h->unit)};
	bool known = !lines_each(host_path(h, "/proc/buddyinfo"), add_free_units, &sum);

	*units = sum.units;
	return known;
}

/* ---- nodes ---- */

static struct host_node node_of(const struct host *h, unsigned number)
{
	struct host_node node = {.number = number};

	if (sysfs_field(host_path(h, text(SYSFS_NODE "node%u/meminfo", number)),
	                text("Node %u MemFree", number), &node.free))
		node.free *= 1024;
	if (h->unit)
		host_free_units(h, (int)number, &node.units);
	return node;
}

size_t host_nodes(const struct host *h, struct host_node nodes[NODES_MOST])
{
	char list[256], *rest = list, *part;
	size_t count = 0;

	if (sysfs_read(host_path(h, SYSFS_NODE "has_memory"), list, sizeof(list)) <= 0)
		return 0;
	/* "0-1,3" */
	while ((part = strsep(&rest, ","))) {
		unsigned first, last;
		int numbers = sscanf(part, "%u-%u", &first, &last);

		if (numbers < 2)
			last = first;
		for (; numbers > 0 && first <= last && count < NODES_MOST; first++)
			nodes[count++] = node_of(h, first);
	}
	return count;
}

static const char *text_of_nodes(const struct host_node *nodes, size_t count)
{
	const char *all = "";

	for (size_t i = 0; i < count; i++)
		all = text("%s%snode %u %s (%lu huge pages)", all, i ? ", " : "", nodes[i].number,
		           bytes_text(nodes[i].free), (unsigned long)nodes[i].units);
	return all;
}

struct check check_nodes(const struct host *h)
{
	static struct host_node nodes[NODES_MOST];
	size_t count = host_nodes(h, nodes);
	const char *all;

	if (count < 2)
		return found_nothing();
	all = text("memory is on %zu NUMA nodes, of which there is free: %s", count,
	           text_of_nodes(nodes, count));
	for (size_t i = 0; h->unit && i < count; i++)
		if (!nodes[i].units)
			return found_warning(text("%s; node %u has none in pieces that are big "
			                          "enough",
			                          all, nodes[i].number),
			                     write_knob("1", text(SYSFS_NODE "node%u/compact",
			                                          nodes[i].number)));
	return found_ok(all);
}
