/* live_nodes.c: reads /proc/PID/numa_maps. */
#include "cli/live_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lines.h"
#include "kernel/say.h"

/* The zones of the heap, each of which is made of whole mappings. */
struct zone_list {
	struct zone_range {
		uint64_t start, end;
		int kind;
	} * zones;
	size_t count;
};

static int add_zone(int kind, uint64_t start, uint64_t end, bool huge, void *arg)
{
	struct zone_list *l = arg;

	l->zones = realloc(l->zones, (l->count + 1) * sizeof(*l->zones));
	if (!l->zones)
		die("out of memory");
	kind = kind > VIEW_LARGE ? VIEW_LARGE : kind;
	l->zones[l->count++] = (struct zone_range){start, end, kind};
	return 0;
}

static const struct zone_range *find_zone(const struct zone_list *l, uint64_t address)
{
	for (size_t i = 0; i < l->count; i++)
		if (address >= l->zones[i].start && address < l->zones[i].end)
			return &l->zones[i];
	return NULL;
}

/* "start policy key=value ...": N0=7 is seven pages on node 0, of the size that the last says. */
static uint64_t page_bytes(const char *line)
{
	const char *field = strstr(line, " kernelpagesize_kB=");

	return field ? strtoull(field + 19, NULL, 10) * 1024 : 0;
}

/* What is added to, and where our zones lie. */
struct sum {
	struct live_nodes *nodes;
	struct zone_list zones;
};

static void add_line(char *line, void *arg)
{
	struct sum *sum = arg;
	const struct zone_range *zone = find_zone(&sum->zones, strtoull(line, NULL, 16));
	uint64_t page = page_bytes(line), pages;
	char *rest, *word = strtok_r(line, " \n", &rest);
	unsigned number;

	while ((word = strtok_r(NULL, " \n", &rest))) {
		if (sscanf(word, "N%u=%lu", &number, &pages) != 2 || number >= NODES_MOST)
			continue;
		sum->nodes->node[number].resident += pages * page;
		if (zone)
			sum->nodes->node[number].zones[zone->kind] += pages * page;
	}
}

int live_nodes_take(struct live_nodes *n, const struct view *v, struct process *p)
{
	struct sum sum = {.nodes = n};
	int error = 0;

	*n = (struct live_nodes){.count = nodes_count()};
	if (*v->release)
		error = view_each_zone(v, p, add_zone, &sum.zones);
	if (!error)
		error = lines_each(process_path(p, "numa_maps"), add_line, &sum);
	free(sum.zones.zones);
	return error;
}

static void emit_node(struct emitter *e, unsigned number, const struct live_node *node, bool zones)
{
	emitter_open_row(e);
	emitter_number(e, "node", number, "", "");
	if (zones) {
		emitter_number(e, "small", node->zones[VIEW_SMALL], "bytes", "");
		emitter_number(e, "large", node->zones[VIEW_LARGE], "bytes", "");
	}
	emitter_number(e, "resident", node->resident, "bytes", "");
	emitter_close_row(e);
}

void live_nodes_emit(const struct live_nodes *n, struct emitter *e, bool zones)
{
	if (n->count < 2)
		return;
	emitter_open_table(e, "nodes", "NUMA nodes: zones of the heap, and the whole process");
	for (unsigned i = 0; i < n->count; i++)
		emit_node(e, i, &n->node[i], zones);
	emitter_close_table(e);
}
