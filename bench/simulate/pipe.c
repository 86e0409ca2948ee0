/*
 * Pairs of threads: one makes messages, the other reads and frees them, so that all frees are of
 * memory that another thread allocated.  Between them is a queue that stays three quarters full.
 */
#include "simulate.h"

#include <sched.h>
#include <stdatomic.h>

enum {
	SMALLEST = 64,
	LARGEST = 16384,
	MEAN_SIZE = 2943, /* (max - min) / ln(max / min) */
};

struct message {
	uint64_t words; /* that follow */
	uint64_t word[];
};

/* One writes, one reads; both counters only grow. */
struct queue {
	_Atomic uint64_t written __attribute__((aligned(64)));
	_Atomic uint64_t read __attribute__((aligned(64)));
	struct message **slot;
	uint64_t slots, level; /* the reader leaves so many in it */
};

static struct queue queues[MAX_THREADS / 2];

static struct message *make(struct part *self)
{
	size_t size = random_size(&self->random, SMALLEST, LARGEST) & ~(size_t)7;
	struct message *m = take(size);

	m->words = size / 8 - 1;
	for (size_t i = 0; i < m->words; i++)
		m->word[i] = size + i;
	self->live += size;
	return m;
}

static void consume(struct part *self, struct message *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->words; i++)
		sum += m->word[i];
	self->live -= (m->words + 1) * 8;
	keep(sum);
	free(m);
}

static void produce(struct part *self, struct queue *q, uint64_t count)
{
	for (uint64_t n = atomic_load(&q->written), end = n + count; n < end; n++) {
		uint64_t start;

		while (n - atomic_load_explicit(&q->read, memory_order_acquire) == q->slots)
			sched_yield();
		start = now_ns();
		q->slot[n % q->slots] = make(self);
		histogram_record(&self->latency, now_ns() - start);
		atomic_store_explicit(&q->written, n + 1, memory_order_release);
	}
}

static void drain(struct part *self, struct queue *q, uint64_t count, uint64_t level)
{
	for (uint64_t n = atomic_load(&q->read), end = n + count; n < end; n++) {
		while (atomic_load_explicit(&q->written, memory_order_acquire) - n <= level)
			sched_yield();
		consume(self, q->slot[n % q->slots]);
		atomic_store_explicit(&q->read, n + 1, memory_order_release);
	}
}

static void run(struct part *self)
{
	size_t index = (size_t)(self - parts);
	struct queue *q = &queues[index / 2];
	bool producer = index % 2 == 0;
	uint64_t count = conf.count / (conf.threads / 2);

	if (producer) {
		q->level = conf.mib * MIB / (conf.threads / 2) / MEAN_SIZE + 1;
		q->slots = q->level * 4 / 3 + 2;
		q->slot = map_table(q->slots * sizeof(struct message *));
		produce(self, q, q->level);
	}
	phase_end(self, "fill");
	if (producer)
		produce(self, q, count);
	else
		drain(self, q, count, q->level);
	phase_end(self, "flow");
	if (!producer)
		drain(self, q, q->level, 0);
	phase_end(self, "empty");
}

const struct mode pipe_mode = {
	.name = "pipe",
	.help = "messages of 64 B to 16 KiB that the next thread frees",
	.run = run,
	.defaults = {.mib = 256, .count = 600000, .threads = 2},
	.threads_multiple = 2,
	.threads_max = MAX_THREADS,
};
