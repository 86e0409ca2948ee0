/*
 * A database that saves itself: a child reads all objects of 1 to 16 KiB and exits, while the
 * parent goes on writing into some of them and replacing others.  Each write to a page that the
 * child shares is copied, and breaks a huge page.  In the end the parent reads all, in random
 * order.
 */
#include "simulate.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALLEST = 1 << 10, LARGEST = 16 << 10, MEAN_SIZE = 5540, SAVES = 3 };

struct object {
	char *data;
	size_t size;
};

static void make(struct part *self, struct object *o)
{
	o->size = random_size(&self->random, SMALLEST, LARGEST);
	o->data = take(o->size);
	memset(o->data, 1, o->size);
	self->live += o->size;
}

static uint64_t read_all(const struct object *o)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < o->size; i += 64)
		sum += (unsigned char)o->data[i];
	return sum;
}

/* Returns whether every object was read. */
static bool child(const struct object *objects, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += read_all(&objects[i]);
	return sum >= count;
}

/* One in eight is replaced, the others are written in place. */
static void update(struct part *self, struct object *o)
{
	if (random_below(&self->random, 8)) {
		memset(o->data + random_below(&self->random, o->size - 63), 2, 64);
		return;
	}
	self->live -= o->size;
	free(o->data);
	make(self, o);
}

static void save(struct part *self, struct object *objects, size_t count)
{
	pid_t pid = fork();
	int status = 1;

	if (!pid)
		_exit(child(objects, count) ? 0 : 1);
	for (uint64_t n = conf.count / SAVES; n; n--) {
		uint64_t start = now_ns();

		update(self, &objects[random_below(&self->random, count)]);
		histogram_record(&self->latency, now_ns() - start);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fputs("simulate: the child that saves failed\n", stderr);
		exit(1);
	}
}

static void run(struct part *self)
{
	size_t count = conf.mib * MIB / MEAN_SIZE + 1;
	struct object *objects = map_table(count * sizeof(*objects));

	for (size_t i = 0; i < count; i++)
		make(self, &objects[i]);
	phase_end(self, "grow");
	for (size_t i = 0; i < SAVES; i++)
		save(self, objects, count);
	phase_end(self, "save");
	sleep_until(now_ns() + conf.rest * 1000000000);
	phase_end(self, "idle");
	for (size_t n = 2 * count; n; n--)
		keep(read_all(&objects[random_below(&self->random, count)]));
	phase_end(self, "read");
}

const struct mode fork_mode = {
	.name = "fork",
	.help = "children read all while the parent writes",
	.run = run,
	.defaults = {.mib = 512, .count = 60000, .threads = 1, .rest = 2},
	.threads_multiple = 1,
	.threads_max = 1,
};
