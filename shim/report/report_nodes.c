#include "report/report_nodes.h"

#include "kernel/kernel.h"

/* Pages asked for at once; they lie on the stack. */
enum { AT_ONCE = 256 };

/* Of all ranges together: at about a microsecond each, who waits for the report does not notice. */
enum { SAMPLES_MOST = 65536 };

static size_t step_for(const struct report_range *ranges, size_t count)
{
	size_t step = machine.unit / 16 > machine.page ? machine.unit / 16 : machine.page;
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += ranges[i].bytes;
	while (bytes / step > SAMPLES_MOST)
		step *= 2;
	return step;
}

/* The page of step number `n` that stands for it: spread evenly, as what a heap puts at the start
 * of a unit is not like the rest. */
static void *page_of_step(const struct report_range *range, size_t step, size_t n)
{
	size_t page = (n * 0x9e3779b97f4a7c15ul >> 32) % (step / machine.page);

	return (char *)range->addr + n * step + page * machine.page;
}

static int ask(void *const *pages, size_t count, size_t step, struct node_census *result)
{
	int nodes[AT_ONCE];
	int error = kernel->locate(pages, count, nodes);

	for (size_t i = 0; !error && i < count; i++)
		if (nodes[i] >= 0 && nodes[i] < NODES_MOST)
			result->bytes[nodes[i]] += step;
	return error;
}

static int add_range(const struct report_range *range, size_t step, struct node_census *result)
{
	size_t steps = range->bytes / step;
	void *pages[AT_ONCE];
	int error = 0;

	for (size_t at = 0; !error && at < steps; at += AT_ONCE) {
		size_t n = steps - at < AT_ONCE ? steps - at : AT_ONCE;

		for (size_t i = 0; i < n; i++)
			pages[i] = page_of_step(range, step, at + i);
		error = ask(pages, n, step, result);
	}
	return error;
}

int nodes_census(const struct report_range *ranges, size_t count, struct node_census *result)
{
	size_t step = step_for(ranges, count);
	int error = 0;

	*result = (struct node_census){{0}};
	for (size_t i = 0; !error && i < count; i++)
		error = add_range(&ranges[i], step, result);
	return error;
}

static void write_node(struct emitter *e, unsigned node, uint64_t bytes, int error)
{
	emitter_open_row(e);
	emitter_number(e, "node", node, "", "");
	if (error)
		emitter_unknown(e, "heap", "");
	else
		emitter_number(e, "heap", bytes, "bytes", "");
	emitter_close_row(e);
}

void report_nodes(struct emitter *e, const struct report_range *ranges, size_t count)
{
	unsigned nodes = kernel->nodes();
	struct node_census census;
	int error;

	if (nodes < 2)
		return;
	error = nodes_census(ranges, count, &census);
	emitter_open_table(e, "nodes", "NUMA nodes, by sampling");
	for (unsigned node = 0; node < nodes; node++)
		write_node(e, node, census.bytes[node], error);
	emitter_close_table(e);
}
