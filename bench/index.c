/*
 * index: what we know of units, for as many units as a heap of that size would have, and what each
 * operation on them costs.
 *
 *   index GIB COUNT
 *
 * Built with the shim's own ledger, filler and policy, on a kernel that only reserves address
 * space: no memory is behind the units, and no system call is made while something is measured.
 * Prints a line for each operation: its name, how often it was done, and nanoseconds per operation.
 * Each is one function named measure_*, so that callgrind can count them apart (bench/scale
 * --index).
 */
#include "options.h"
#include "pmd/filler.h"
#include "pmd/ledger.h"
#include "pmd/zone.h"
#include "release/release.h"
#include "report/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum {
	SLICES = 32,      /* of a unit, in the ledger */
	GROUP = 64,       /* units: one extent, and one unit of small ones */
	SMALL_PAGES = 32, /* pages of a small extent */
	SMALLS = UNIT_PAGES / SMALL_PAGES,
};

static struct {
	size_t units, count;
	struct filler filler;
	size_t filler_count;
	struct ledger ledger;
	size_t ledger_count;
	void **large;           /* the large extent of each group; NULL if it was freed */
	void *(*small)[SMALLS]; /* the small ones */
	uint64_t random;
} at = {.filler_count = 1, .ledger_count = 1, .random = 1};

static void fatal(const char *what)
{
	fprintf(stderr, "index: %s\n", what);
	exit(1);
}

static size_t random_below(size_t n)
{
	at.random = at.random * 6364136223846793005 + 1442695040888963407;
	return (size_t)((__uint128_t)at.random * n >> 64);
}

static size_t groups(void)
{
	return at.units / GROUP;
}

/* ---- a kernel that does nothing ---- */

/* One behind the other, from where nothing else is: valgrind finds no place for so much by itself.
 */
static void *reserve(void *hint, size_t bytes)
{
	static char *next = (char *)(1ul << 40);
	void *p = mmap(next, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	next += (bytes + 2 * machine.unit - 1) & -machine.unit;
	return p == MAP_FAILED ? NULL : p;
}

static int unreserve(void *addr, size_t bytes)
{
	return munmap(addr, bytes) ? errno : 0;
}

/* Our own notes are written; the program's memory is not. */
static int make_usable(void *addr, size_t bytes)
{
	for (struct zone *z = zones_first(); z; z = z->next)
		if (zone_owns(z, addr))
			return 0;
	return mprotect(addr, bytes, PROT_READ | PROT_WRITE) ? errno : 0;
}

static int accept_range(void *addr, size_t bytes)
{
	return 0;
}

static int accept_unit(void *unit)
{
	return 0;
}

static int no_survey(void *addr, size_t count, struct kernel_unit *units)
{
	return ENOTTY;
}

static bool is_exclusive(void *unit)
{
	return true;
}

static void no_name(void *addr, size_t bytes, const char *name)
{
}

static size_t no_limit(void)
{
	return SIZE_MAX;
}

static bool never(void)
{
	return false;
}

static unsigned one(void)
{
	return 1;
}

/* Time that stands still: nothing becomes due by waiting. */
static uint64_t no_time(void)
{
	return 1;
}

static const struct kernel nothing = {
	.reserve = reserve,
	.unreserve = unreserve,
	.make_usable = make_usable,
	.advise_huge = accept_range,
	.advise_base = accept_range,
	.give_back = accept_range,
	.split = accept_unit,
	.collapse = accept_unit,
	.remap = accept_range,
	.name = no_name,
	.nodes = one,
	.survey = no_survey,
	.exclusive = is_exclusive,
	.address_limit = no_limit,
	.near_limit = never,
	.pressure = never,
	.now = no_time,
	.processor_time = no_time,
};

/* ---- filling ---- */

static void *extent(size_t pages)
{
	struct filler_request r = {.pages = pages, .align = 1};
	bool zero;
	void *p = filler_alloc(&at.filler, &r, &zero);

	if (!p)
		fatal("no room for an extent");
	return p;
}

/* A large extent in each group, and a unit of small ones of which some are freed. */
static void fill_filler(void)
{
	for (size_t i = 0; i < groups(); i++) {
		at.large[i] = extent((GROUP - 1) * UNIT_PAGES);
		for (size_t k = 0; k < SMALLS; k++)
			at.small[i][k] = extent(SMALL_PAGES);
	}
	for (size_t i = 0; i < groups(); i++)
		for (size_t k = 1; k < SMALLS; k++)
			if (random_below(8) < i % 8) {
				filler_free(&at.filler, at.small[i][k]);
				at.small[i][k] = NULL;
			}
	for (size_t i = 0; i < groups(); i += 8) {
		filler_free(&at.filler, at.large[i]);
		at.large[i] = NULL;
	}
	/* Half of what is free now is returned: both kept and clean runs. */
	filler_return(&at.filler, groups() / 16 * (GROUP - 1));
}

static char *slice(size_t unit, size_t n)
{
	return at.ledger.zone.data.base + (unit << machine.unit_shift) +
	       n * (machine.unit / SLICES);
}

static void give(size_t unit, size_t from, size_t n)
{
	ledger_give(&at.ledger, slice(unit, from), n * (machine.unit / SLICES));
}

static void take(size_t unit, size_t from, size_t n)
{
	if (ledger_take(&at.ledger, slice(unit, from), n * (machine.unit / SLICES)))
		fatal("cannot take slices");
}

/* All units used; one in 16 with some slack, and one in 16 kept. */
static void fill_ledger(void)
{
	for (size_t unit = 0; unit < at.units; unit += 16)
		take(unit, 0, 16 * SLICES);
	for (size_t unit = 0; unit < at.units; unit += 16) {
		give(unit + 3, 1, 1 + unit / 16 % (SLICES - 1));
		give(unit + 9, 0, SLICES);
	}
}

static void *table(size_t bytes)
{
	void *p = reserve(NULL, bytes);

	if (!p || mprotect(p, bytes, PROT_READ | PROT_WRITE))
		fatal("no memory");
	return p;
}

static void build(void)
{
	static const struct filler_policy large = {.zone = {.name = "large"}, .heal = true};
	static const struct zone_policy small = {.name = "small"};
	size_t bytes = at.units << machine.unit_shift;

	zones_prove();
	at.large = table(groups() * sizeof(*at.large));
	at.small = table(groups() * sizeof(*at.small));
	filler_init(&at.filler, &large);
	/* Half as much again, since room to grow is kept free. */
	if (filler_add_zone(&at.filler, NULL, bytes + bytes / 2, bytes + bytes / 2) ||
	    ledger_open(&at.ledger, &small, NULL, bytes, bytes, machine.unit))
		fatal("cannot reserve address space");
	release_init(&(struct release_scope){
		.fillers = &at.filler,
		.filler_count = &at.filler_count,
		.ledgers = &at.ledger,
		.ledger_count = &at.ledger_count,
	});
	fill_filler();
	fill_ledger();
	ledger_slack(&at.ledger); /* notes the ranks */
}

/* ---- the operations ---- */

static void measure_find(void)
{
	size_t sum = 0;

	for (size_t i = 0; i < at.count; i++) {
		void *p = at.small[random_below(groups())][0];

		sum += filler_zone_of(&at.filler, p) ? filler_size(&at.filler, p) : 0;
	}
	if (sum != at.count * SMALL_PAGES)
		fatal("an extent was not found");
}

static void measure_small(void)
{
	for (size_t i = 0; i < at.count; i++)
		filler_free(&at.filler, extent(1 + random_below(UNIT_PAGES / 2)));
}

static void measure_free_elsewhere(void)
{
	for (size_t i = 0; i < at.count; i++) {
		void **p = &at.small[random_below(groups())][0];

		filler_free(&at.filler, *p);
		*p = extent(SMALL_PAGES);
	}
}

static void measure_large(void)
{
	for (size_t i = 0; i < at.count; i++)
		filler_free(&at.filler, extent((2 + random_below(40)) * UNIT_PAGES));
}

static void measure_resize(void)
{
	for (size_t i = 0; i < at.count; i++) {
		void *p = at.large[random_below(groups() / 8) * 8 + 1];

		filler_resize(&at.filler, p, (GROUP - 2) * UNIT_PAGES);
		filler_resize(&at.filler, p, (GROUP - 1) * UNIT_PAGES);
	}
}

static void measure_return(void)
{
	for (size_t i = 0; i < at.count; i++)
		filler_return(&at.filler, 1);
}

static void measure_demote(void)
{
	for (size_t i = 0; i < at.count; i++)
		filler_demote(&at.filler, filler_worst_slack(&at.filler));
}

static void measure_unpin(void)
{
	for (size_t i = 0; i < at.count; i++)
		filler_unpin(&at.filler);
}

static void measure_ledger_take(void)
{
	for (size_t i = 0; i < at.count; i++) {
		size_t unit = random_below(at.units / 16) * 16 + 5;

		give(unit, 4, 8);
		take(unit, 4, 8);
	}
}

static void measure_ledger_slack(void)
{
	for (size_t i = 0; i < at.count; i++) {
		size_t unit = random_below(at.units / 16) * 16 + 5;

		give(unit, 4, 8);
		ledger_slack(&at.ledger);
		take(unit, 4, 8);
		ledger_worst_slack(&at.ledger);
	}
}

static void measure_ledger_return(void)
{
	for (size_t i = 0; i < at.count; i++)
		ledger_return(&at.ledger, 1);
}

static void measure_ledger_demote(void)
{
	for (size_t i = 0; i < at.count; i++)
		ledger_demote(&at.ledger, (unsigned)ledger_worst_slack(&at.ledger), 1);
}

static void measure_ledger_unpin(void)
{
	for (size_t i = 0; i < at.count; i++)
		ledger_unpin(&at.ledger);
}

/* A look at a few units in passing, for broken ones. */
static void measure_heal(void)
{
	struct heal_limits limits = {.full = PACK_DENSE_PAGES, .look_at = GROUP};
	struct heal_walk walk = {.at = at.units / 2}, small = walk;

	for (size_t i = 0; i < at.count; i++) {
		filler_heal(&at.filler, &walk, &limits);
		ledger_heal(&at.ledger, &small, &limits);
	}
}

/* All that is kept, for each unit. */
static void measure_return_all(void)
{
	release_all();
}

/* What slow paths do now and then. */
static void measure_tick(void)
{
	for (size_t i = 0; i < at.count; i++)
		release_tick();
}

/* What the keeper does, when there is nothing to do. */
static void measure_step(void)
{
	for (size_t i = 0; i < at.count; i++)
		release_step(1);
}

/* malloc_trim(), for each unit that it takes apart. */
static void measure_trim(void)
{
	release_everything();
}

static const struct {
	const char *name;
	void (*measure)(void);
	const uint64_t *units; /* what it counts up for each unit, if it does not do `count` */
} operations[] = {
	{"find", measure_find, NULL},
	{"small", measure_small, NULL},
	{"free_elsewhere", measure_free_elsewhere, NULL},
	{"large", measure_large, NULL},
	{"resize", measure_resize, NULL},
	{"return", measure_return, NULL},
	{"demote", measure_demote, NULL},
	{"unpin", measure_unpin, NULL},
	{"ledger_take", measure_ledger_take, NULL},
	{"ledger_slack", measure_ledger_slack, NULL},
	{"ledger_return", measure_ledger_return, NULL},
	{"ledger_demote", measure_ledger_demote, NULL},
	{"ledger_unpin", measure_ledger_unpin, NULL},
	{"heal", measure_heal, NULL},
	{"return_all", measure_return_all, &stats.returned_units},
	{"tick", measure_tick, NULL},
	{"step", measure_step, NULL},
	{"trim", measure_trim, &stats.demoted_units},
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

static struct {
	size_t count;
	double ns;
} results[OPERATIONS];

static void run(size_t i)
{
	const uint64_t *units = operations[i].units;
	uint64_t before = units ? *units : 0;
	double begin = now();

	operations[i].measure();
	results[i].ns = now() - begin;
	results[i].count = units ? *units - before : at.count;
}

int main(int argc, char **argv)
{
	size_t gib = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;

	at.count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	if (gib < 16 || gib > 8192 || !at.count || at.count > 16 * gib) {
		fprintf(stderr,
		        "usage: index GIB COUNT\nGIB is 16 to 8192, COUNT at most 16 for each\n");
		return 2;
	}
	machine_set(4096, 2ul << 20);
	kernel = &nothing;
	options_load();
	/* It looks through all units, a few at a time, however many there are. */
	options.heal = 0;
	at.units = gib << 30 >> machine.unit_shift;
	build();
	for (size_t i = 0; i < OPERATIONS; i++)
		run(i);
	if (!filler_consistent(&at.filler) || !ledger_consistent(&at.ledger))
		fatal("the index is inconsistent");
	for (size_t i = 0; i < OPERATIONS; i++)
		printf("%s %zu %.1f\n", operations[i].name, results[i].count,
		       results[i].ns / (double)results[i].count);
	return 0;
}
