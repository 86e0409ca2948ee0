/*
 * A program that runs for long: what it holds stays the same in bytes, but the sizes that it asks
 * for drift, from small to middle and back, and whatever is replaced is chosen at random.  So holes
 * are of sizes that are not asked for any more.
 */
#include "simulate.h"

enum {
	SMALLEST = 64, /* hence how many can be held */
	EPOCHS = 12,
	TOP = 6, /* epochs from the smallest sizes to the largest */
};

struct piece {
	void *data;
	uint32_t size;
};

struct pile {
	struct piece *piece;
	size_t count;
};

static void drop_any(struct part *self, struct pile *pile)
{
	struct piece *p = &pile->piece[random_below(&self->random, pile->count)];

	self->live -= p->size;
	free(p->data);
	*p = pile->piece[--pile->count];
}

/* 64 to 256 bytes in the first epoch, 4 to 16 KiB in the seventh, and back. */
static size_t size_in(struct part *self, unsigned epoch)
{
	unsigned step = epoch % (2 * TOP) <= TOP ? epoch % (2 * TOP) : 2 * TOP - epoch % (2 * TOP);
	size_t min = (size_t)SMALLEST << step;

	return random_size(&self->random, min, 4 * min);
}

static void add(struct part *self, struct pile *pile, size_t size)
{
	struct piece p = {.data = take(size), .size = (uint32_t)size};

	memset(p.data, 1, size);
	self->live += size;
	pile->piece[pile->count++] = p;
}

/* Replace about half of all bytes by pieces of this epoch's sizes. */
static void age(struct part *self, struct pile *pile, unsigned epoch, size_t full)
{
	for (size_t done = 0; done < full / 2;) {
		size_t size = size_in(self, epoch);
		uint64_t start = now_ns();

		while (pile->count && self->live + size > full)
			drop_any(self, pile);
		add(self, pile, size);
		histogram_record(&self->latency, now_ns() - start);
		done += size;
	}
}

static void run(struct part *self)
{
	size_t full = share_of(conf.mib * MIB);
	struct pile pile = {map_table((full / SMALLEST + 1) * sizeof(struct piece)), 0};

	while (self->live < full)
		add(self, &pile, size_in(self, 0));
	phase_end(self, "grow");
	for (unsigned epoch = 1; epoch <= conf.count; epoch++)
		age(self, &pile, epoch, full);
	phase_end(self, "age");
	while (pile.count)
		drop_any(self, &pile);
	phase_end(self, "free");
}

const struct mode fragment_mode = {
	.name = "fragment",
	.help = "sizes drift from 64 B to 16 KiB and back; --count is epochs",
	.run = run,
	.defaults = {.mib = 256, .count = EPOCHS, .threads = 1},
	.threads_multiple = 1,
	.threads_max = MAX_THREADS,
};
