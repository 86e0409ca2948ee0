/*
 * learn.c: a record for each block, and sums for each site.
 */
#include "site/learn.h"

#include <pthread.h>
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/say.h"
#include "kernel/scan.h"
#include "options.h"
#include "pmd/atomic.h"
#include "pmd/meta.h"
#include "site/rules.h"
#include "site/site.h"
#include "site/sites.h"

/* Two blocks of LEARN_LEAST bytes cannot start in the same window of so many, so the window's
 * number finds the block.  Addresses have 47 bits unless a program asks for more. */
#define WINDOW_SHIFT 16
#define WINDOWS      (1ul << (47 - WINDOW_SHIFT))

_Static_assert(LEARN_LEAST >= 1 << WINDOW_SHIFT, "one block starts in a window, at most");

enum { RECORDS_MOST = 1 << 20 };

struct record {
	uintptr_t start;
	size_t bytes;
	uint64_t born;
	struct learned *site;
	uint32_t next; /* in the list of free ones: its number */
};

/* Records have numbers from 1 on; 0 is none. */
struct tables {
	struct learned sites[SITES_MOST];
	uint64_t free; /* the first free record, below a count that tells it from its like */
	uint32_t used; /* records ever taken; may grow beyond RECORDS_MOST */
	struct record records[RECORDS_MOST];
	uint32_t starts[WINDOWS] __attribute__((aligned(1 << WINDOW_SHIFT))); /* of any page */
};

bool learn_active;

static struct tables *tables;
static uint64_t started;
static bool no_scan;  /* the kernel has no PAGEMAP_SCAN */
static bool in_child; /* of a fork() */
static bool watching_fork;

/* ---- records ---- */

static struct record *record_of(uint32_t number)
{
	return &tables->records[number - 1];
}

static uint32_t record_take(void)
{
	uint64_t head = at_acquire(&tables->free);

	while ((uint32_t)head) {
		uint32_t next = at_get(&record_of((uint32_t)head)->next);

		if (at_cas(&tables->free, &head, ((head >> 32) + 1) << 32 | next))
			return (uint32_t)head;
	}
	if (at_get(&tables->used) >= RECORDS_MOST)
		return 0;
	uint32_t number = at_add(&tables->used, 1);
	return number < RECORDS_MOST ? number + 1 : 0;
}

static void record_put(uint32_t number)
{
	uint64_t head = at_acquire(&tables->free);

	at_set(&record_of(number)->start, 0);
	do
		at_set(&record_of(number)->next, (uint32_t)head);
	while (!at_cas(&tables->free, &head, ((head >> 32) + 1) << 32 | number));
}

static uint32_t *slot_of(uintptr_t start)
{
	return start >> WINDOW_SHIFT < WINDOWS ? &tables->starts[start >> WINDOW_SHIFT] : NULL;
}

/* Take the record of the block that starts there out of the table; 0 if there is none. */
static uint32_t claim(uintptr_t start)
{
	uint32_t *slot = slot_of(start);
	uint32_t number = slot ? at_acquire(slot) : 0;

	if (!number || at_get(&record_of(number)->start) != start)
		return 0;
	return at_cas(slot, &number, 0) ? number : 0;
}

/* ---- sums ---- */

static void live_add(struct learned *site, size_t bytes)
{
	uint64_t live = at_add(&site->live, bytes) + bytes, peak = at_get(&site->peak);

	while (live > peak && !at_cas(&site->peak, &peak, live))
		;
}

/* Bytes of the range that are there; the zero page is not, where the kernel can tell. */
static size_t resident(void *addr, size_t bytes)
{
	struct scan scan;
	size_t found;

	if (!no_scan && !scan_range(addr, bytes, &scan) && !scan.whole_process)
		return scan.resident;
	no_scan = true;
	found = kernel->resident(addr, bytes);
	return found == SIZE_MAX ? 0 : found;
}

static void survey(const struct record *r, struct learned *sums)
{
	size_t most = (r->bytes + machine.page - 1) & -machine.page;

	for (size_t at = 0; at < most; at += machine.unit) {
		size_t part = most - at < machine.unit ? most - at : machine.unit;
		size_t touched = resident((char *)r->start + at, part);

		if (!touched)
			continue;
		at_add(&sums->room, part);
		at_add(&sums->touched, touched);
	}
}

/* Add what is known of a block that ends now. */
static void add_up(const struct record *r, struct learned *sums)
{
	survey(r, sums);
	at_add(&sums->lifetime, kernel->now() - r->born);
}

static void end(uint32_t number)
{
	struct record *r = record_of(number);

	add_up(r, r->site);
	at_sub(&r->site->live, r->bytes);
	record_put(number);
}

/* Put the record into the table.  If one is there already, its block went without our notice. */
static void enter(uint32_t number, uintptr_t start)
{
	uint32_t *slot = slot_of(start), old;

	at_publish(&record_of(number)->start, start);
	old = at_swap(slot, number);
	if (!old)
		return;
	at_sub(&record_of(old)->site->live, record_of(old)->bytes);
	record_put(old);
}

/* ---- the events ---- */

void learn_born(const void *p, size_t bytes)
{
	const struct site *site = site_take_last();
	uint32_t number;

	if (!site || bytes < LEARN_LEAST || !slot_of((uintptr_t)p) || !(number = record_take()))
		return;
	struct record *r = record_of(number);
	struct learned *sums = &tables->sites[site_number(site)];

	at_set(&r->bytes, bytes);
	at_set(&r->born, kernel->now());
	at_set(&r->site, sums);
	at_add(&sums->count, 1);
	at_add(&sums->bytes, bytes);
	live_add(sums, bytes);
	enter(number, (uintptr_t)p);
}

bool learn_fresh(void *p, size_t bytes)
{
	return !kernel->give_back(p, bytes);
}

/* Follow a block to another place or size. */
static void follow(uint32_t number, uintptr_t to, size_t bytes)
{
	struct record *r = record_of(number);

	if (bytes > r->bytes) {
		at_add(&r->site->bytes, bytes - r->bytes);
		live_add(r->site, bytes - r->bytes);
	} else {
		at_sub(&r->site->live, r->bytes - bytes);
	}
	at_set(&r->bytes, bytes);
	enter(number, to);
}

void learn_moved(const void *from, const void *to, size_t bytes)
{
	uint32_t number = claim((uintptr_t)from);

	if (!number)
		learn_born(to, bytes);
	else if (bytes < LEARN_LEAST || !slot_of((uintptr_t)to))
		end(number);
	else
		follow(number, (uintptr_t)to, bytes);
}

void learn_freed(const void *p)
{
	uint32_t number = claim((uintptr_t)p);

	if (number)
		end(number);
}

/* Programs that want their memory aligned map more than that, and cut both ends off.  What is left
 * behind a cut beginning goes on as the same block; a cut end is seen as not touched. */
static void cut(uintptr_t start, uintptr_t hole_end)
{
	uint32_t number = claim(start);

	if (!number)
		return;
	size_t bytes = record_of(number)->bytes;
	if (start + bytes < hole_end + LEARN_LEAST || !slot_of(hole_end))
		end(number);
	else
		follow(number, hole_end, start + bytes - hole_end);
}

void learn_unmapped(const void *addr, size_t bytes)
{
	uintptr_t from = (uintptr_t)addr, to = from + bytes;

	if (to < from)
		return;
	for (uintptr_t at = from; at < to; at = (at | ((1ul << WINDOW_SHIFT) - 1)) + 1) {
		uint32_t *slot = slot_of(at), number = slot ? at_acquire(slot) : 0;
		uintptr_t start = number ? at_get(&record_of(number)->start) : 0;

		if (start >= from && start < to)
			cut(start, to);
	}
}

/* ---- start and end ---- */

/* A child starts anew: what it inherited was counted by its parent. */
static void forget(void)
{
	const char *names[2];

	if (!tables)
		return;
	in_child = true;
	started = kernel->now();
	for (size_t i = 0; i < sites_count(); i++) {
		struct learned *site = &tables->sites[i];

		names[0] = site->caller;
		names[1] = site->module;
		memset(site, 0, sizeof(*site));
		site->caller = names[0];
		site->module = names[1];
	}
	kernel->give_back((char *)tables->starts, sizeof(tables->starts));
	tables->free = 0;
	tables->used = 0;
}

void learn_init(void)
{
	if (strcmp(options.learn, "off") == 0 || learn_active)
		return;
	tables = meta_block(sizeof(*tables));
	if (!tables) {
		say("no address space for what is to be learned (9 GiB); learn is off");
		return;
	}
	started = kernel->now();
	if (!at_swap(&watching_fork, true))
		pthread_atfork(NULL, NULL, forget);
	learn_active = true;
}

void learn_reset(void)
{
	if (tables)
		meta_block_free(tables, sizeof(*tables));
	tables = NULL;
	learn_active = in_child = no_scan = false;
}

void learn_caller(const struct site *site, const struct rule_frame *caller)
{
	struct learned *sums = &tables->sites[site_number(site)];

	at_set(&sums->caller, caller ? caller->function : "");
	at_set(&sums->module, caller ? caller->module : "");
}

/* False if the block ended meanwhile; then it is in the sums of its site, or will be in the next.
 */
static bool read_record(const struct record *from, struct record *to)
{
	to->start = at_acquire(&from->start);
	to->bytes = at_get(&from->bytes);
	to->born = at_get(&from->born);
	to->site = at_acquire(&from->site);
	return to->start && at_get(&from->start) == to->start;
}

void learn_sum(struct learned *sums)
{
	uint32_t used = at_get(&tables->used);
	struct record r;

	memcpy(sums, tables->sites, sites_count() * sizeof(*sums));
	for (uint32_t i = 0; i < used && i < RECORDS_MOST; i++)
		if (read_record(&tables->records[i], &r))
			add_up(&r, &sums[r.site - tables->sites]);
}

bool learn_in_child(void)
{
	return in_child;
}

uint64_t learn_run(void)
{
	return kernel->now() - started;
}
