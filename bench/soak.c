/*
 * soak: minutes of random work on the heap, by several threads, with all contents checked.
 *
 * Each thread goes from one random phase to the next: it fills up, replaces, resizes, drains, hands
 * objects to other threads, or hardly does anything; with objects of this size or that.  From time
 * to time all bring what they hold to the same amount and rest, and memory is measured: in
 * the end it may not be more than it was after the first fifth of the time.
 *
 * Plain malloc and free: run it under any allocator (LD_PRELOAD).  Exit status: 0; 1 if memory
 * grew; 3 if contents changed; 2 for wrong usage.
 */
#include "probe.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 64, SLOTS = 1 << 14, SHELF = 1024, MAX_SAMPLES = 1 << 14 };

static struct {
	uint64_t seconds, threads, mib, seed, leak;
} conf = {.seconds = 30, .threads = 8, .mib = 512, .seed = 1};

struct object {
	uint32_t size;
	uint32_t tag;
	uint64_t words[];
};

struct worker {
	uint64_t random;
	size_t live, full; /* bytes */
	unsigned max_bits; /* sizes of the current phase: up to 2^max_bits */
	struct object *slot[SLOTS];
};

static struct worker workers[MAX_THREADS];
/* Objects on their way from one thread to another. */
static _Atomic(struct object *) shelf[SHELF];

/* ---- time and chance ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void rest(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* splitmix64 */
static uint64_t random_next(struct worker *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t below(struct worker *w, uint64_t n)
{
	return random_next(w) % n;
}

/* ---- objects ---- */

static size_t word_count(const struct object *o)
{
	return (o->size - sizeof(*o)) / sizeof(o->words[0]);
}

static void object_fill(struct object *o, size_t from)
{
	for (size_t i = from; i < word_count(o); i++)
		o->words[i] = (o->tag + 1) * 0x9e3779b97f4a7c15 + i;
}

static void object_check(const struct object *o)
{
	uint64_t wrong = 0;

	for (size_t i = 0; i < word_count(o); i++)
		wrong |= o->words[i] ^ ((o->tag + 1) * 0x9e3779b97f4a7c15 + i);
	if (!wrong)
		return;
	fprintf(stderr, "soak: the contents of %p (%" PRIu32 " bytes) changed\n", (const void *)o,
	        o->size);
	_exit(3); /* no destructor shall run on a damaged heap */
}

static void *checked(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "soak: out of memory\n");
	_exit(1);
}

static uint32_t random_size(struct worker *w)
{
	uint64_t size =
		sizeof(struct object) + 1 + below(w, 1ull << (4 + below(w, w->max_bits - 3)));

	return (uint32_t)size;
}

/* Some come zeroed, some aligned. */
static void *random_allocation(struct worker *w, size_t size)
{
	void *p = NULL;

	switch (below(w, 8)) {
	case 0:
		return checked(calloc(1, size));
	case 1:
		if (posix_memalign(&p, 16ul << below(w, 9), size))
			p = NULL;
		return checked(p);
	default:
		return checked(malloc(size));
	}
}

static void make(struct worker *w, size_t at)
{
	uint32_t size = random_size(w);
	struct object *o = random_allocation(w, size);

	o->size = size;
	o->tag = (uint32_t)random_next(w);
	object_fill(o, 0);
	w->live += size;
	w->slot[at] = o;
}

static void drop(struct worker *w, size_t at)
{
	struct object *o = w->slot[at];

	object_check(o);
	w->live -= o->size;
	w->slot[at] = NULL;
	free(o);
}

static void resize(struct worker *w, size_t at)
{
	struct object *o = w->slot[at];
	uint32_t size = random_size(w);
	size_t old_words = word_count(o);

	object_check(o);
	w->live += size;
	w->live -= o->size;
	o = checked(realloc(o, size));
	o->size = size;
	object_fill(o, old_words);
	w->slot[at] = o;
}

/* Whoever comes next takes it: once it is on the shelf it is no longer ours to look at. */
static void hand_over(struct worker *w, size_t at)
{
	w->live -= w->slot[at]->size;
	w->slot[at] = atomic_exchange(&shelf[below(w, SHELF)], w->slot[at]);
	if (w->slot[at])
		w->live += w->slot[at]->size;
}

/* ---- phases: each step does one thing to one slot ---- */

typedef void step(struct worker *w, size_t at);

static void step_fill(struct worker *w, size_t at)
{
	if (!w->slot[at] && w->live < w->full)
		make(w, at);
}

static void step_replace(struct worker *w, size_t at)
{
	if (!w->slot[at])
		return;
	drop(w, at);
	if (w->live < w->full)
		make(w, at);
}

static void step_resize(struct worker *w, size_t at)
{
	if (w->slot[at] && w->live < w->full)
		resize(w, at);
}

static void step_drain(struct worker *w, size_t at)
{
	if (w->slot[at] && below(w, 10))
		drop(w, at);
}

static void step_hand_over(struct worker *w, size_t at)
{
	if (w->slot[at])
		hand_over(w, at);
}

static void step_check(struct worker *w, size_t at)
{
	if (w->slot[at])
		object_check(w->slot[at]);
}

static void step_light(struct worker *w, size_t at)
{
	(void)at;
	free(random_allocation(w, 1 + below(w, 500)));
	rest(0.0005);
}

static void run_phase(struct worker *w, double until)
{
	static step *const steps[] = {step_fill,  step_fill,      step_replace, step_resize,
	                              step_drain, step_hand_over, step_check,   step_light};
	static const unsigned bits[] = {8, 12, 16, 18, 18, 22};
	step *s = steps[below(w, sizeof(steps) / sizeof(steps[0]))];
	double end = now() + (double)below(w, 500) * 1e-3;

	w->max_bits = bits[below(w, sizeof(bits) / sizeof(bits[0]))];
	if (end > until)
		end = until;
	while (now() < end)
		for (size_t n = 0; n < (s == step_light ? 1 : 64); n++)
			s(w, below(w, SLOTS));
}

/* Free and fill until a quarter of the full amount is live, in objects of the usual sizes. */
static void settle(struct worker *w)
{
	w->max_bits = 18;
	for (size_t at = 0; at < SLOTS; at++)
		if (w->slot[at] && below(w, 4))
			drop(w, at);
	for (size_t at = 0; at < SLOTS && w->live > w->full / 4; at++)
		if (w->slot[at])
			drop(w, at);
	for (size_t at = 0; at < SLOTS && w->live < w->full / 4; at++)
		if (!w->slot[at])
			make(w, at);
}

/* ---- samples ---- */

struct sample {
	double at; /* seconds since the start */
	size_t live;
	struct probe probe;
};

static struct sample samples[MAX_SAMPLES];
static size_t sample_count;

static uint64_t held(const struct sample *s)
{
	return s->probe.charged_known ? s->probe.charged : s->probe.rss;
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void take_sample(double start)
{
	struct sample *s = &samples[sample_count++];

	s->at = now() - start;
	s->live = 0;
	for (size_t i = 0; i < conf.threads; i++)
		s->live += workers[i].live;
	probe_take(&s->probe);
	printf("%7.1f s: live %6.1f MiB, rss %6.1f, charged %6.1f, huge %5.1f %%\n", s->at,
	       mib(s->live), mib(s->probe.rss), mib(held(s)),
	       100 * (double)s->probe.huge / (double)s->probe.anonymous);
	fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The median of what was held in samples [from, to). */
static uint64_t middle(size_t from, size_t to)
{
	static uint64_t values[MAX_SAMPLES];

	for (size_t i = from; i < to; i++)
		values[i - from] = held(&samples[i]);
	qsort(values, to - from, sizeof(values[0]), by_size);
	return values[(to - from) / 2];
}

/* The first fifth does not count: heaps fill up and the tables of objects are touched first.  A
 * tenth, and a little of what is live at most, are what chance does to fragments. */
static bool grew(void)
{
	size_t fifth = sample_count / 5;
	uint64_t before = middle(fifth, 3 * fifth),
		 after = middle(sample_count - 2 * fifth, sample_count);
	bool more = after > before + before / 10 + (conf.mib << 20) / 16;

	printf("held in the second and third fifth of the time %.1f MiB, in the last two %.1f: "
	       "%s\n",
	       mib(before), mib(after), more ? "memory grew" : "no growth");
	return more;
}

/* ---- the run ---- */

static pthread_barrier_t barrier;
static double start_time, interval;

/* As often as it takes to have at least ten samples. */
static void set_times(void)
{
	start_time = now();
	interval = (double)conf.seconds / 10;
	if (interval > 10)
		interval = 10;
}

static void leak(double seconds)
{
	static void *volatile lost; /* else the compiler sees that nobody reads it */
	size_t bytes = (size_t)((double)conf.leak * seconds);

	if (!bytes)
		return;
	lost = checked(malloc(bytes));
	memset(lost, 1, bytes);
}

/* Work, come together, rest, be measured: until the time is over. */
static void work(struct worker *w)
{
	size_t rounds = (size_t)((double)conf.seconds / interval);
	double pause = interval / 2 < 3 ? interval / 2 : 3;

	for (size_t i = 1; i <= rounds; i++) {
		double until = start_time + (double)i * interval - pause;

		while (now() < until)
			run_phase(w, until);
		settle(w);
		pthread_barrier_wait(&barrier);
		rest(pause);
		if (w == workers) {
			leak(interval);
			take_sample(start_time);
		}
		pthread_barrier_wait(&barrier);
	}
}

static void *worker_main(void *arg)
{
	work(arg);
	return NULL;
}

static void run(void)
{
	pthread_t threads[MAX_THREADS];

	pthread_barrier_init(&barrier, NULL, (unsigned)conf.threads);
	for (size_t i = 0; i < conf.threads; i++) {
		workers[i].random = conf.seed * 1000003 + i;
		workers[i].full = (conf.mib << 20) / conf.threads;
	}
	set_times();
	for (size_t i = 1; i < conf.threads; i++)
		if (pthread_create(&threads[i], NULL, worker_main, &workers[i]))
			exit(2);
	work(&workers[0]);
	for (size_t i = 1; i < conf.threads; i++)
		pthread_join(threads[i], NULL);
}

/* ---- the command line ---- */

static const char usage[] =
	"usage: soak [option...]\n"
	"Random work on the heap by several threads, with all contents checked; says from time to\n"
	"time what memory is held. Fails if contents change, or if memory grows after the first\n"
	"fifth of the time. Run it under any allocator (LD_PRELOAD), in a memory cgroup of its "
	"own.\n"
	"\n"
	"  --seconds N   how long [30]\n"
	"  --threads N   [8]\n"
	"  --mib N       live at most [512]\n"
	"  --seed N      of the random numbers [1]\n"
	"  --leak N      lose so many bytes each second, to see that it is noticed [0]\n";

static const struct option options[] = {
	{"seconds", required_argument, NULL, 0},
	{"threads", required_argument, NULL, 1},
	{"mib", required_argument, NULL, 2},
	{"seed", required_argument, NULL, 3},
	{"leak", required_argument, NULL, 4},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void set_number(int option, const char *text)
{
	static const struct {
		uint64_t *value, min, max;
	} numbers[] = {
		{&conf.seconds, 1, 100000},
		{&conf.threads, 1, MAX_THREADS},
		{&conf.mib, 1, 1 << 20},
		{&conf.seed, 0, UINT64_MAX},
		{&conf.leak, 0, (uint64_t)1 << 32},
	};
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value < numbers[option].min ||
	    value > numbers[option].max) {
		fprintf(stderr,
		        "soak: --%s takes a number from %" PRIu64 " to %" PRIu64 ", not %s\n",
		        options[option].name, numbers[option].min, numbers[option].max, text);
		exit(2);
	}
	*numbers[option].value = value;
}

static void parse_arguments(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(usage, stdout);
			exit(0);
		}
		if (option == '?')
			exit(2);
		set_number(option, optarg);
	}
	if (optind < argc) {
		fprintf(stderr, "soak: unknown argument: %s\nTry soak --help.\n", argv[optind]);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	parse_arguments(argc, argv);
	probe_init();
	run();
	return grew();
}
