/*
 * Big blocks of 64 KiB to 64 MiB, each written all through and kept for a while; a quarter of them
 * come about by realloc in three steps.
 */
#include "simulate.h"

enum { BLOCK_MIN = 64 << 10, BLOCK_MAX = 64 << 20, STEPS = 3 };

struct block {
	char *data;
	size_t size;
};

static struct block *blocks;
static size_t held;

static void drop(struct part *self, size_t i)
{
	self->live -= blocks[i].size;
	free(blocks[i].data);
	blocks[i] = blocks[--held];
}

static char *grown(size_t size)
{
	char *data = NULL;
	size_t have = 0;

	for (size_t step = 1; step <= STEPS; step++) {
		size_t want = size * step / STEPS;

		data = take_more(data, want);
		memset(data + have, 1, want - have);
		have = want;
	}
	return data;
}

static char *written(size_t size)
{
	return memset(take(size), 1, size);
}

/* Make room for one more block, and make it.  Returns false if there was no room. */
static bool add(struct part *self, bool make_room)
{
	size_t size = random_size(&self->random, BLOCK_MIN, BLOCK_MAX);
	bool in_steps = !random_below(&self->random, 4);

	while (self->live + size > conf.mib * MIB) {
		if (!make_room || !held)
			return false;
		drop(self, random_below(&self->random, held));
	}
	blocks[held++] = (struct block){in_steps ? grown(size) : written(size), size};
	self->live += size;
	return true;
}

static void run(struct part *self)
{
	blocks = map_table((conf.mib * MIB / BLOCK_MIN + 1) * sizeof(*blocks));
	while (add(self, false))
		;
	phase_end(self, "grow");
	for (uint64_t n = conf.count; n; n--)
		add(self, true);
	phase_end(self, "recycle");
	while (held)
		drop(self, held - 1);
	phase_end(self, "free");
}

const struct mode blocks_mode = {
	.name = "blocks",
	.help = "blocks of 64 KiB to 64 MiB, recycled at random; some grow by realloc",
	.run = run,
	.defaults = {.mib = 1024, .count = 500, .threads = 1},
	.threads_multiple = 1,
	.threads_max = 1,
};
