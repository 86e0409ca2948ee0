/*
 * steady: a heap of a given size in which objects are replaced at random, and what that costs.
 *
 *   steady LIVE_MIB THREADS OPERATIONS ROUNDS
 *
 * One operation reads the first word of a random object, which decides on the next one, frees it,
 * allocates one of another random size, and writes its first word.  The processor misses its caches
 * over the object, and over the pointer to it, whatever the allocator does; so in each round the
 * same number of operations is also done with the freeing and allocating left out: pick an object,
 * read its first word, draw a size, write the first word.
 *
 * Sizes are as many between 16 and 32 bytes as between 32 and 64 KiB.  Each thread owns an equal
 * part of the objects.  Prints one line of JSON; times are in nanoseconds of processor time per
 * operation, those of "wall" in elapsed time over all threads.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 64, MAX_ROUNDS = 64, MEAN_SIZE = 7878, SIZES = 4096 };

/* What one thread did in one part of a round. */
struct cost {
	uint64_t processor_ns;
	uint64_t instructions; /* in the program, not in the kernel; 0 if the machine cannot say */
};

struct worker {
	uint64_t **objects;
	size_t count;
	uint64_t random;
	int counter; /* of perf_event_open; -1 if there is none */
	pthread_t thread;
	struct cost replace[MAX_ROUNDS], control[MAX_ROUNDS];
};

static struct {
	size_t live_mib, threads, operations, rounds;
} conf;

static struct worker workers[MAX_THREADS];
static pthread_barrier_t barrier;
static uint32_t sizes[SIZES];
static uint64_t wall[MAX_ROUNDS];

static void fatal(const char *what)
{
	fprintf(stderr, "steady: %s\n", what);
	exit(1);
}

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* splitmix64 */
static uint64_t random_next(struct worker *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Sizes in equal steps of their logarithm, drawn from a table: pow() would cost as much as malloc.
 */
static void make_sizes(void)
{
	const double step = 1.0020325; /* 4096 to the power of 1 / SIZES: 16 bytes to 64 KiB */
	double size = 16;

	for (size_t i = 0; i < SIZES; i++, size *= step)
		sizes[i] = (uint32_t)size;
}

static size_t random_size(uint64_t random)
{
	return sizes[random % SIZES];
}

static uint64_t **random_object(struct worker *w, uint64_t random)
{
	return &w->objects[(size_t)((__uint128_t)random * w->count >> 64)];
}

static uint64_t *make(size_t size)
{
	uint64_t *p = malloc(size);

	if (!p)
		fatal("no memory");
	return p;
}

/* ---- what is measured ---- */

static void replace(struct worker *w, size_t operations)
{
	for (size_t i = 0; i < operations; i++) {
		uint64_t random = random_next(w), **object = random_object(w, random);

		w->random ^= **object;
		free(*object);
		*object = make(random_size(random));
		**object = random;
	}
}

static void control(struct worker *w, size_t operations)
{
	for (size_t i = 0; i < operations; i++) {
		uint64_t random = random_next(w), **object = random_object(w, random);

		w->random ^= **object;
		**object = random + random_size(random);
	}
}

static uint64_t instructions(const struct worker *w)
{
	uint64_t count;

	return w->counter >= 0 && read(w->counter, &count, sizeof(count)) == sizeof(count) ? count
	                                                                                   : 0;
}

static struct cost measure(struct worker *w, void (*work)(struct worker *, size_t))
{
	uint64_t ns = now(CLOCK_THREAD_CPUTIME_ID), count = instructions(w);

	work(w, conf.operations / conf.threads);
	return (struct cost){now(CLOCK_THREAD_CPUTIME_ID) - ns, instructions(w) - count};
}

/* ---- the threads ---- */

static int open_counter(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/* Every page is touched, or what is not would be free of charge. */
static void fill(struct worker *w)
{
	for (size_t i = 0; i < w->count; i++) {
		size_t size = random_size(random_next(w));

		w->objects[i] = make(size);
		memset(w->objects[i], 1, size);
	}
	/* What was allocated in order lies in order: only after this the heap is a mixed one. */
	replace(w, 2 * w->count);
}

static void round_of(struct worker *w, size_t round)
{
	/* Each goes first in every other round. */
	for (size_t part = 0; part < 2; part++) {
		bool is_control = part == round % 2;
		uint64_t begin = 0;

		pthread_barrier_wait(&barrier);
		if (w == workers)
			begin = now(CLOCK_MONOTONIC);
		if (is_control)
			w->control[round] = measure(w, control);
		else
			w->replace[round] = measure(w, replace);
		pthread_barrier_wait(&barrier);
		if (w == workers && !is_control)
			wall[round] = now(CLOCK_MONOTONIC) - begin;
	}
}

static void *work(void *worker)
{
	struct worker *w = worker;

	w->counter = open_counter();
	fill(w);
	for (size_t round = 0; round < conf.rounds; round++)
		round_of(w, round);
	return NULL;
}

static void start(size_t i)
{
	struct worker *w = &workers[i];
	size_t bytes;

	w->count = (conf.live_mib << 20) / MEAN_SIZE / conf.threads;
	w->random = i + 1;
	bytes = w->count * sizeof(*w->objects);
	/* Not the allocator's: it would count as its memory. */
	w->objects = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->objects == MAP_FAILED || pthread_create(&w->thread, NULL, work, w))
		fatal("no memory");
}

/* ---- printing ---- */

static void print_costs(const char *name, size_t offset)
{
	for (int field = 0; field < 2; field++) {
		printf(", \"%s_%s\": [", name, field ? "instructions" : "ns");
		for (size_t round = 0; round < conf.rounds; round++) {
			uint64_t sum = 0;

			for (size_t i = 0; i < conf.threads; i++) {
				const struct cost *costs =
					(const void *)((const char *)&workers[i] + offset);
				sum += field ? costs[round].instructions
				             : costs[round].processor_ns;
			}
			printf("%s%.2f", round ? ", " : "", (double)sum / (double)conf.operations);
		}
		printf("]");
	}
}

int main(int argc, char **argv)
{
	size_t *numbers[] = {&conf.live_mib, &conf.threads, &conf.operations, &conf.rounds};

	for (int i = 1; i < argc && argc == 5; i++)
		*numbers[i - 1] = strtoul(argv[i], NULL, 10);
	if (!conf.live_mib || !conf.threads || conf.threads > MAX_THREADS || !conf.operations ||
	    !conf.rounds || conf.rounds > MAX_ROUNDS || conf.operations < conf.threads) {
		fprintf(stderr,
		        "usage: steady LIVE_MIB THREADS OPERATIONS ROUNDS\n"
		        "at most %d threads and %d rounds\n",
		        MAX_THREADS, MAX_ROUNDS);
		return 2;
	}
	conf.operations -= conf.operations % conf.threads;
	make_sizes();
	pthread_barrier_init(&barrier, NULL, (unsigned)conf.threads);
	for (size_t i = 0; i < conf.threads; i++)
		start(i);
	for (size_t i = 0; i < conf.threads; i++)
		pthread_join(workers[i].thread, NULL);
	printf("{\"live_mib\": %zu, \"threads\": %zu, \"operations\": %zu", conf.live_mib,
	       conf.threads, conf.operations);
	print_costs("replace", offsetof(struct worker, replace));
	print_costs("control", offsetof(struct worker, control));
	printf(", \"wall_ns\": [");
	for (size_t round = 0; round < conf.rounds; round++)
		printf("%s%.2f", round ? ", " : "", (double)wall[round] / (double)conf.operations);
	printf("]}\n");
	return 0;
}
