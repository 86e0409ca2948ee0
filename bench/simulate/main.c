#include "simulate.h"

#include "../number.h"
#include "../report.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct options conf;
struct part parts[MAX_THREADS];

static const struct mode *const modes[] = {&server_mode, &pipe_mode, &blocks_mode, &fragment_mode,
                                           &fork_mode};
static const struct mode *mode;

static void fatal(const char *what)
{
	fprintf(stderr, "simulate: %s\n", what);
	exit(1);
}

/* ---- memory ---- */

void *take(size_t size)
{
	return take_more(NULL, size);
}

void *take_more(void *data, size_t size)
{
	data = data ? realloc(data, size) : malloc(size);
	if (!data)
		fatal("out of memory");
	return data;
}

void *map_table(size_t bytes)
{
	const size_t unit = 2 << 20;
	char *raw = mmap(NULL, bytes + unit, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (raw == MAP_FAILED)
		fatal("no memory for a table");
	madvise(raw, bytes + unit, MADV_HUGEPAGE);
	return raw + (-(uintptr_t)raw & (unit - 1));
}

/* ---- phases ---- */

static pthread_barrier_t barrier;
static uint64_t phase_start;
static struct probe before;

static uint64_t live_bytes(void)
{
	uint64_t live = 0;

	for (size_t i = 0; i < conf.threads; i++)
		live += parts[i].live;
	return live;
}

/* The latencies of all threads, which start from zero for the next phase. */
static const struct histogram *merge_latency(void)
{
	static struct histogram sum;

	memset(&sum, 0, sizeof(sum));
	for (size_t i = 0; i < conf.threads; i++) {
		histogram_add(&sum, &parts[i].latency);
		memset(&parts[i].latency, 0, sizeof(parts[i].latency));
	}
	return &sum;
}

static void print_phase(const char *name, double seconds)
{
	const struct histogram *latency = merge_latency();
	struct probe after;

	probe_take(&after);
	report_open(name, seconds, live_bytes(), &before, &after);
	if (latency->total)
		report_latency("latency_ns", latency);
	report_close();
}

void phase_end(struct part *self, const char *name)
{
	pthread_barrier_wait(&barrier);
	if (self == parts) {
		print_phase(name, (double)(now_ns() - phase_start) * 1e-9);
		/* Reading and printing are no part of the next phase. */
		probe_take(&before);
		phase_start = now_ns();
	}
	pthread_barrier_wait(&barrier);
}

static void *thread_main(void *part)
{
	mode->run(part);
	return NULL;
}

/* The main thread is the first. */
static void run_all(void)
{
	pthread_t threads[MAX_THREADS];

	pthread_barrier_init(&barrier, NULL, (unsigned)conf.threads);
	for (size_t i = 0; i < conf.threads; i++)
		parts[i].random = conf.seed * 1000003 + i;
	probe_take(&before);
	phase_start = now_ns();
	for (size_t i = 1; i < conf.threads; i++)
		if (pthread_create(&threads[i], NULL, thread_main, &parts[i]))
			fatal("cannot start a thread");
	mode->run(&parts[0]);
	for (size_t i = 1; i < conf.threads; i++)
		pthread_join(threads[i], NULL);
}

/* ---- the command line ---- */

static void print_usage(void)
{
	puts("usage: simulate MODE [option...]\n"
	     "Do what one kind of program does with malloc, in phases, and print a line of JSON\n"
	     "after each. Run it under any allocator (LD_PRELOAD).\n"
	     "\n"
	     "  --mib N      live at most, all threads together\n"
	     "  --count N    operations, all threads together\n"
	     "  --threads N\n"
	     "  --rest N     seconds of nothing, in mode fork [2]\n"
	     "  --seed N     of the random numbers [1]\n"
	     "\n"
	     "modes, and what --mib, --count and --threads are if not given:");
	for (size_t i = 0; i < COUNT(modes); i++)
		printf("  %-9s %5" PRIu64 " %9" PRIu64 " %2" PRIu64 "  %s\n", modes[i]->name,
		       modes[i]->defaults.mib, modes[i]->defaults.count, modes[i]->defaults.threads,
		       modes[i]->help);
}

static void bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "simulate: %s: %s (see simulate --help)\n", what, value);
	exit(2);
}

static const struct mode *find_mode(const char *name)
{
	for (size_t i = 0; i < COUNT(modes); i++)
		if (!strcmp(modes[i]->name, name))
			return modes[i];
	bad_usage("unknown mode", name);
	return NULL;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"mib", required_argument, NULL, 0},     {"count", required_argument, NULL, 1},
		{"threads", required_argument, NULL, 2}, {"rest", required_argument, NULL, 3},
		{"seed", required_argument, NULL, 4},    {NULL, 0, NULL, 0},
	};
	uint64_t *values[] = {&conf.mib, &conf.count, &conf.threads, &conf.rest, &conf.seed};
	const uint64_t min[] = {1, 1, 1, 0, 0};
	const uint64_t max[] = {1 << 20, 1ull << 40, mode->threads_max, 3600, UINT32_MAX};

	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
		if (o == '?')
			exit(2);
		*values[o] = parse_number(options[o].name, optarg, min[o], max[o]);
	}
	if (optind < argc)
		bad_usage("unknown argument", argv[optind]);
	if (conf.threads % mode->threads_multiple)
		bad_usage("--threads must be even in mode", mode->name);
}

int main(int argc, char **argv)
{
	static char stdout_buffer[4096]; /* or else stdio would malloc one */

	setvbuf(stdout, stdout_buffer, _IOFBF, sizeof(stdout_buffer));
	if (argc < 2)
		bad_usage("missing", "MODE");
	if (!strcmp(argv[1], "--help")) {
		print_usage();
		return 0;
	}
	mode = find_mode(argv[1]);
	conf = mode->defaults;
	conf.seed = 1;
	parse_options(argc - 1, argv + 1);
	probe_init();
	run_all();
	return 0;
}
