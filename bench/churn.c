/*
 * churn: a program that keeps many objects of very different sizes and replaces them at random.
 *
 * It uses plain malloc and free, so it measures whatever allocator it runs under, by LD_PRELOAD or
 * otherwise.  The run is a list of phases; after each, one line says what it took and what the
 * kernel holds for us.  Its own tables are mapped directly and small (16 bytes an object), so
 * almost all anonymous memory is the allocator's.
 *
 * Each thread owns an equal part of the objects.  With --remote, part of the frees is done by the
 * next thread.
 */
#include "clock.h"
#include "histogram.h"
#include "number.h"
#include "probe.h"
#include "random.h"
#include "report.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_THREADS = 64, MAX_PHASES = 64 };

static struct {
	uint64_t objects, min, max, replacements, threads, seed;
	double remote;
	const char *phases;
	bool check, latency, text;
} conf = {
	.objects = 60000,
	.min = 16,
	.max = 256 << 10,
	.replacements = 400000,
	.threads = 1,
	.seed = 1,
	.phases = "grow,churn,drain,light",
};

struct object {
	void *data;
	uint32_t size;
	uint32_t tag; /* what the contents are made from */
};

/* A freed object on its way to the thread that shall free it; lies in the object itself. */
struct letter {
	struct letter *next;
};

struct worker {
	uint64_t random;
	struct object *objects;
	size_t count; /* of objects, empty ones included */
	size_t live;  /* bytes asked for by the objects that are not empty */
	_Atomic(struct letter *) mailbox;
	struct histogram malloc_ns, free_ns;
};

static struct worker workers[MAX_THREADS];

static void fatal(const char *what)
{
	fprintf(stderr, "churn: %s\n", what);
	exit(1);
}

/* As many objects between 16 and 32 bytes as between 128 and 256 KiB. */
static uint32_t object_size(struct worker *w)
{
	return (uint32_t)random_size(&w->random, conf.min, conf.max);
}

/* ---- contents ---- */

/* Each word differs from its neighbours and from the same word of other objects, so that
 * contents that were lost, zeroed or moved show. */
static uint64_t pattern_word(uint32_t tag, size_t index)
{
	return (tag + 1) * 0x9e3779b97f4a7c15 + index;
}

static void pattern_fill(const struct object *o)
{
	uint64_t *words = o->data, last = pattern_word(o->tag, o->size / 8);

	for (size_t i = 0; i < o->size / 8; i++)
		words[i] = pattern_word(o->tag, i);
	memcpy(words + o->size / 8, &last, o->size % 8);
}

static void pattern_check(const struct object *o)
{
	const uint64_t *words = o->data;
	uint64_t last = pattern_word(o->tag, o->size / 8), wrong = 0;

	for (size_t i = 0; i < o->size / 8; i++)
		wrong |= words[i] ^ pattern_word(o->tag, i);
	if (!wrong && !memcmp(words + o->size / 8, &last, o->size % 8))
		return;
	fprintf(stderr, "churn: the contents of %p (%" PRIu32 " bytes) changed\n", o->data,
	        o->size);
	_exit(3); /* no destructor shall run on a damaged heap */
}

/* ---- malloc and free, timed if wanted ---- */

static void *timed_malloc(struct worker *w, size_t size)
{
	uint64_t start = conf.latency ? now_ns() : 0;
	void *data = malloc(size);

	if (conf.latency)
		histogram_record(&w->malloc_ns, now_ns() - start);
	if (!data)
		fatal("out of memory");
	return data;
}

static void timed_free(struct worker *w, void *data)
{
	uint64_t start = conf.latency ? now_ns() : 0;

	free(data);
	if (conf.latency)
		histogram_record(&w->free_ns, now_ns() - start);
}

/* ---- objects ---- */

static void mailbox_send(struct worker *to, void *data)
{
	struct letter *letter = data;

	letter->next = atomic_load_explicit(&to->mailbox, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&to->mailbox, &letter->next, letter,
	                                              memory_order_release, memory_order_relaxed))
		;
}

static void mailbox_empty(struct worker *w)
{
	struct letter *letter, *next;

	if (!atomic_load_explicit(&w->mailbox, memory_order_relaxed))
		return;
	letter = atomic_exchange_explicit(&w->mailbox, NULL, memory_order_acquire);
	for (; letter; letter = next) {
		next = letter->next;
		timed_free(w, letter);
	}
}

static void object_make(struct worker *w, struct object *o)
{
	o->size = object_size(w);
	o->tag = (uint32_t)random_next(&w->random);
	o->data = timed_malloc(w, o->size);
	w->live += o->size;
	pattern_fill(o);
}

static void object_drop(struct worker *w, struct object *o)
{
	size_t next = (size_t)(w - workers + 1) % conf.threads;

	if (conf.check)
		pattern_check(o);
	w->live -= o->size;
	if (conf.remote > 0 && random_unit(&w->random) < conf.remote)
		mailbox_send(&workers[next], o->data);
	else
		timed_free(w, o->data);
	o->data = NULL;
}

static void check_all(struct worker *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->objects[i].data)
			pattern_check(&w->objects[i]);
}

/* ---- phases: what each thread does; `amount` is the number after the ':' ---- */

static void phase_grow(struct worker *w, double amount)
{
	for (size_t i = 0; i < w->count; i++) {
		mailbox_empty(w);
		if (!w->objects[i].data)
			object_make(w, &w->objects[i]);
	}
}

static void phase_churn(struct worker *w, double amount)
{
	for (size_t n = (size_t)amount / conf.threads; n; n--) {
		struct object *o = &w->objects[random_below(&w->random, w->count)];

		mailbox_empty(w);
		if (o->data)
			object_drop(w, o);
		object_make(w, o);
	}
}

/* Free exactly so many percent of the objects, in random order. */
static void phase_drain(struct worker *w, double amount)
{
	size_t drop = (size_t)((double)w->count * amount / 100);

	for (size_t i = 0; i < drop; i++) {
		struct object *o = &w->objects[i + random_below(&w->random, w->count - i)];
		struct object chosen = *o;

		mailbox_empty(w);
		*o = w->objects[i];
		w->objects[i] = chosen;
		if (chosen.data)
			object_drop(w, &w->objects[i]);
	}
}

static void phase_free(struct worker *w, double amount)
{
	phase_drain(w, 100);
}

/* Every 10 ms, 20 small objects come and go; the threads take turns. */
static void phase_light(struct worker *w, double amount)
{
	enum { TICK = 10000000, BATCH = 20, SMALL = 512 };
	uint64_t turn = (uint64_t)(w - workers), start = now_ns();
	uint64_t end = start + (uint64_t)(amount * 1e9);

	for (uint64_t at = start + turn * TICK; at < end; at += conf.threads * TICK) {
		void *data[BATCH];

		sleep_until(at);
		mailbox_empty(w);
		for (size_t i = 0; i < BATCH; i++)
			memset(data[i] = timed_malloc(w, 1 + random_below(&w->random, SMALL)), 1,
			       1);
		for (size_t i = 0; i < BATCH; i++)
			timed_free(w, data[i]);
	}
	sleep_until(end);
}

static void phase_idle(struct worker *w, double amount)
{
	sleep_until(now_ns() + (uint64_t)(amount * 1e9));
}

/* Until whoever runs us says so: by a line, or the end, of standard input. */
static void phase_await(struct worker *w, double amount)
{
	int c;

	if (w != workers)
		return; /* the others wait for us at the end of the phase */
	while ((c = getchar()) != EOF && c != '\n')
		;
}

typedef void phase_body(struct worker *w, double amount);

static struct phase_kind {
	const char *name;
	phase_body *run;
	double amount; /* if none is given */
} kinds[] = {
	{"grow", phase_grow, 0},    {"churn", phase_churn, 0}, {"drain", phase_drain, 90},
	{"light", phase_light, 12}, {"idle", phase_idle, 12},  {"regrow", phase_grow, 0},
	{"free", phase_free, 0},    {"await", phase_await, 0},
};

struct phase {
	const struct phase_kind *kind;
	double amount;
};

static struct phase phases[MAX_PHASES];
static size_t phase_count;

/* ---- threads: all run each phase together; the main thread is the first worker ---- */

static pthread_barrier_t barrier;
static uint64_t phase_start, phase_end;

static void run_phase(struct worker *w, const struct phase *phase)
{
	bool first = w == workers;

	pthread_barrier_wait(&barrier);
	if (first)
		phase_start = now_ns();
	phase->kind->run(w, phase->amount);
	/* Whoever had a letter for us has sent it once all are here. */
	pthread_barrier_wait(&barrier);
	mailbox_empty(w);
	pthread_barrier_wait(&barrier);
	if (first)
		phase_end = now_ns();
	if (conf.check)
		check_all(w);
}

static void *worker_main(void *arg)
{
	for (size_t i = 0; i < phase_count; i++)
		run_phase(arg, &phases[i]);
	return NULL;
}

/* Mapped, not malloc'ed: the tables are not part of what is measured. */
static struct object *map_objects(size_t count)
{
	void *table = mmap(NULL, (count + 1) * sizeof(struct object), PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (table == MAP_FAILED)
		fatal("no memory for the table of objects");
	return table;
}

static void workers_make(void)
{
	struct object *objects = map_objects(conf.objects);

	for (size_t i = 0; i < conf.threads; i++) {
		struct worker *w = &workers[i];

		w->random = conf.seed * 1000003 + i;
		w->count = conf.objects / conf.threads + (i < conf.objects % conf.threads);
		w->objects = objects;
		objects += w->count;
	}
	pthread_barrier_init(&barrier, NULL, (unsigned)conf.threads);
}

/* ---- what is printed ---- */

static size_t live_bytes(void)
{
	size_t live = 0;

	for (size_t i = 0; i < conf.threads; i++)
		live += workers[i].live;
	return live;
}

/* The latencies of all threads in this phase, which start from zero for the next one. */
static struct histogram *merge_latency(size_t offset)
{
	static struct histogram sum;

	memset(&sum, 0, sizeof(sum));
	for (size_t i = 0; i < conf.threads; i++) {
		struct histogram *h = (struct histogram *)((char *)&workers[i] + offset);

		histogram_add(&sum, h);
		memset(h, 0, sizeof(*h));
	}
	return &sum;
}

static double phase_seconds(void)
{
	return (double)(phase_end - phase_start) * 1e-9;
}

static void print_json(const struct phase *phase, const struct probe *old, const struct probe *p)
{
	report_open(phase->kind->name, phase_seconds(), live_bytes(), old, p);
	if (conf.latency) {
		report_latency("malloc_ns", merge_latency(offsetof(struct worker, malloc_ns)));
		report_latency("free_ns", merge_latency(offsetof(struct worker, free_ns)));
	}
	report_close();
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void print_text_header(void)
{
	puts("           seconds  live MiB   rss MiB  huge %  charged    faults  deferred   "
	     "splits");
}

static void print_latency(const char *format, size_t offset)
{
	const struct histogram *h = merge_latency(offset);

	printf(format, h->total, histogram_quantile(h, .5), histogram_quantile(h, .99),
	       histogram_quantile(h, .999), histogram_quantile(h, .9999), h->max);
}

#define LATENCY_TEXT(name)                                                                         \
	"  " name " ns: %" PRIu64 " calls, half %" PRIu64 ", 99 %% %" PRIu64 ", 99.9 %% %" PRIu64  \
	", 99.99 %% %" PRIu64 ", max %" PRIu64 "\n"

static void print_text(const struct phase *phase, const struct probe *old, const struct probe *p)
{
	char charged[32] = "?";

	if (p->charged_known)
		snprintf(charged, sizeof(charged), "%.1f", mib(p->charged));
	printf("%-8s %9.3f %9.1f %9.1f %7.1f %8s %9" PRIu64 " %9" PRIu64 " %8" PRIu64 "\n",
	       phase->kind->name, phase_seconds(), mib(live_bytes()), mib(p->rss),
	       p->anonymous ? 100.0 * (double)p->huge / (double)p->anonymous : 0, charged,
	       p->faults - old->faults, p->thp_deferred_split_page - old->thp_deferred_split_page,
	       p->thp_split_pmd - old->thp_split_pmd);
	if (conf.latency) {
		print_latency(LATENCY_TEXT("malloc"), offsetof(struct worker, malloc_ns));
		print_latency(LATENCY_TEXT("free  "), offsetof(struct worker, free_ns));
	}
}

/* Run all phases as the first worker, and measure between them. */
static void run_and_report(void)
{
	struct probe old, now;

	if (conf.text)
		print_text_header();
	probe_take(&old);
	for (size_t i = 0; i < phase_count; i++) {
		run_phase(&workers[0], &phases[i]);
		probe_take(&now);
		if (conf.text)
			print_text(&phases[i], &old, &now);
		else
			print_json(&phases[i], &old, &now);
		fflush(stdout);
		/* Not `now`: reading and printing are no part of the next phase. */
		probe_take(&old);
	}
}

/* ---- the command line ---- */

static const char usage[] =
	"usage: churn [option...]\n"
	"Keep many malloc'ed objects of very different sizes and replace them at random; after "
	"each\n"
	"phase print one line of JSON. Run it under any allocator (LD_PRELOAD).\n"
	"\n"
	"  --objects N       how many are live at most [60000], split over the threads\n"
	"  --min N, --max N  bytes of an object, log-uniform between them [16, 262144]\n"
	"  --replacements N  of a churn phase [400000]\n"
	"  --threads N       each owns its part of the objects [1]\n"
	"  --remote F        this fraction of the frees is done by the next thread [0]\n"
	"  --seed N          of the random numbers [1]\n"
	"  --phases LIST     names with commas between [grow,churn,drain,light]:\n"
	"                      grow, regrow  allocate all that are empty\n"
	"                      churn[:N]     N replacements\n"
	"                      drain[:P]     free P percent of all, at random [90]\n"
	"                      light[:S]     S seconds of 20 small malloc/free every 10 ms [12]\n"
	"                      idle[:S]      S seconds of nothing [12]\n"
	"                      free          free all\n"
	"                      await         wait for a line on standard input\n"
	"  --check           verify contents before each free and after each phase\n"
	"  --latency         time each malloc and free, and print quantiles\n"
	"  --text            print a table instead of JSON\n"
	"\n"
	"huge and anonymous are of this process. charged is its memory cgroup's, page cache left\n"
	"out, and the thp_ events are the machine's: for clean figures run it alone, in a cgroup "
	"of\n"
	"its own (compare and churn-compare do that).\n";

static void bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "churn: %s: %s\nTry churn --help.\n", what, value);
	exit(2);
}

static double parse_decimal(const char *what, const char *value, double max)
{
	char *end;
	double number = strtod(value, &end);

	if (end == value || *end || !(number >= 0 && number <= max))
		bad_usage(what, value);
	return number;
}

static const struct phase_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	bad_usage("unknown phase", name);
	return NULL;
}

static void parse_phase(char *word)
{
	struct phase *phase = &phases[phase_count++];
	char *amount = strchr(word, ':');

	if (amount)
		*amount++ = '\0';
	phase->kind = find_kind(word);
	phase->amount = phase->kind->amount;
	if (phase->kind->run == phase_churn)
		phase->amount = (double)conf.replacements;
	if (amount)
		phase->amount = parse_decimal("bad amount", amount,
		                              phase->kind->run == phase_drain ? 100 : 1e12);
}

static void parse_phases(void)
{
	static char list[4096];
	char *rest = list;

	if (strlen(conf.phases) >= sizeof(list))
		bad_usage("too many phases", conf.phases);
	strcpy(list, conf.phases);
	for (char *word; (word = strsep(&rest, ","));) {
		if (phase_count == MAX_PHASES)
			bad_usage("too many phases", conf.phases);
		parse_phase(word);
	}
}

/* The options that take a number. */
static const struct {
	const char *name;
	uint64_t *value;
	uint64_t min, max;
} numbers[] = {
	{"objects", &conf.objects, 1, 1u << 28},
	/* A letter must fit into the smallest object. */
	{"min", &conf.min, sizeof(struct letter), 1u << 30},
	{"max", &conf.max, sizeof(struct letter), 1u << 30},
	{"replacements", &conf.replacements, 0, 1ull << 40},
	{"threads", &conf.threads, 1, MAX_THREADS},
	{"seed", &conf.seed, 0, UINT64_MAX},
};

enum { OPTION_REMOTE = 256, OPTION_PHASES, OPTION_CHECK, OPTION_LATENCY, OPTION_TEXT, OPTION_HELP };

static const struct option options[] = {
	{"objects", required_argument, NULL, 0},
	{"min", required_argument, NULL, 1},
	{"max", required_argument, NULL, 2},
	{"replacements", required_argument, NULL, 3},
	{"threads", required_argument, NULL, 4},
	{"seed", required_argument, NULL, 5},
	{"remote", required_argument, NULL, OPTION_REMOTE},
	{"phases", required_argument, NULL, OPTION_PHASES},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"latency", no_argument, NULL, OPTION_LATENCY},
	{"text", no_argument, NULL, OPTION_TEXT},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static void parse_option(int option)
{
	switch (option) {
	case OPTION_REMOTE:
		conf.remote = parse_decimal("--remote takes a fraction, not", optarg, 1);
		break;
	case OPTION_PHASES:
		conf.phases = optarg;
		break;
	case OPTION_CHECK:
		conf.check = true;
		break;
	case OPTION_LATENCY:
		conf.latency = true;
		break;
	case OPTION_TEXT:
		conf.text = true;
		break;
	case OPTION_HELP:
		fputs(usage, stdout);
		exit(0);
	case '?':
		exit(2);
	default:
		*numbers[option].value = parse_number(numbers[option].name, optarg,
		                                      numbers[option].min, numbers[option].max);
	}
}

static void parse_arguments(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		parse_option(option);
	if (optind < argc)
		bad_usage("unknown argument", argv[optind]);
	if (conf.min > conf.max)
		bad_usage("--min is above --max", "");
	if (conf.threads > conf.objects)
		bad_usage("there are fewer objects than threads", "");
	parse_phases();
}

int main(int argc, char **argv)
{
	static char stdout_buffer[4096]; /* or else stdio would malloc one */
	pthread_t threads[MAX_THREADS];

	setvbuf(stdout, stdout_buffer, _IOFBF, sizeof(stdout_buffer));
	parse_arguments(argc, argv);
	probe_init();
	workers_make();
	for (size_t i = 1; i < conf.threads; i++)
		if (pthread_create(&threads[i], NULL, worker_main, &workers[i]))
			fatal("cannot start a thread");
	run_and_report();
	for (size_t i = 1; i < conf.threads; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
