#include "pmd/stock.h"

#include <errno.h>

#include "kernel/say.h"
#include "pmd/demand.h"

/* ---- zones ---- */

void filler_init(struct filler *f, const struct filler_policy *policy)
{
	f->policy = *policy;
	f->sparse_percent = FILLER_SPARSE_PERCENT;
	f->lock = (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
}

int filler_add_zone(struct filler *f, void *hint, size_t bytes, size_t least)
{
	size_t n = at_acquire(&f->zone_count);

	if (n == FILLER_ZONES)
		return ENOMEM;
	struct filler_zone *z = &f->zones[n];
	if (zone_open(&z->zone, &f->policy.zone, hint, bytes, least, machine.unit))
		return ENOMEM;
	/* Boundary tags of a run are read one unit to either side: hence one unit more. */
	if (prefix_reserve(&z->units, NULL, (z->zone.units + 1) * sizeof(struct unit),
	                   machine.page))
		goto no_units;
	if (prefix_reserve(&z->sizes, NULL, z->zone.units * UNIT_PAGES * sizeof(uint32_t),
	                   machine.page))
		goto no_sizes;
	z->top = 0;
	zone_join(&z->zone);
	at_publish(&f->zone_count, n + 1);
	return 0;

no_sizes:
	prefix_release(&z->units);
no_units:
	prefix_release(&z->zone.data);
	return ENOMEM;
}

struct filler_zone *filler_zone_of(struct filler *f, const void *p)
{
	size_t n = at_acquire(&f->zone_count);

	for (size_t i = 0; i < n; i++)
		if (zone_owns(&f->zones[i].zone, p))
			return &f->zones[i];
	return NULL;
}

struct filler_zone *zone_of_unit(struct filler *f, const struct unit *u)
{
	for (size_t i = 0;; i++) {
		must(i < FILLER_ZONES);
		if ((uintptr_t)u - (uintptr_t)f->zones[i].units.base < f->zones[i].units.bytes)
			return &f->zones[i];
	}
}

/* Make the first `units` of a zone, and what we note of them, usable. */
static bool zone_need(struct filler_zone *z, size_t units)
{
	return units <= z->zone.units &&
	       !prefix_need(&z->units, (units + 1) * sizeof(struct unit)) &&
	       !prefix_need(&z->sizes, units * UNIT_PAGES * sizeof(uint32_t)) &&
	       !prefix_need(&z->zone.data, units << machine.unit_shift);
}

static bool raise_top(struct filler_zone *z, size_t top)
{
	if (!zone_need(z, top))
		return false;
	at_set(&z->top, top);
	return true;
}

/* ---- putting back ---- */

static void set_state(struct unit *u, size_t n, enum unit_state state)
{
	for (size_t i = 0; i < n; i++)
		u[i].state = (uint8_t)state;
}

static struct runs *runs_of(struct filler *f, enum unit_state state)
{
	return state == UNIT_KEPT ? &f->kept : &f->clean;
}

void stock_put(struct filler *f, struct filler_zone *z, struct unit *first, size_t n,
               enum unit_state state)
{
	struct runs *runs = runs_of(f, state);

	set_state(first, n, state);
	if (index_of(z, first) > 0 && first[-1].state == state) {
		struct unit *before = first - first[-1].run;

		runs_take(runs, before);
		n += before->run;
		first = before;
	}
	if (index_of(z, first) + n < z->top && first[n].state == state) {
		struct unit *after = first + n;

		runs_take(runs, after);
		n += after->run;
	}
	if (state == UNIT_CLEAN && index_of(z, first) + n == z->top) {
		at_set(&z->top, index_of(z, first));
		set_state(first, n, UNIT_UNUSED);
		return;
	}
	runs_put(runs, first, n);
}

/* ---- taking ---- */

/* Before the heap has proven big its units get base pages. */
static void note_breakage(const struct filler_zone *z, struct unit *u, size_t n)
{
	bool base = !at_get(&z->zone.huge);

	for (size_t i = 0; i < n; i++)
		u[i].broken = base || (u[i].state == UNIT_KEPT && u[i].broken);
}

/* Cut units [skip, skip + n) out of a run; the rest goes back to the index. */
static struct unit *cut_run(struct filler *f, struct unit *run, size_t skip, size_t n)
{
	struct runs *runs = runs_of(f, run->state);
	size_t length = run->run;

	runs_take(runs, run);
	if (skip)
		runs_put(runs, run, skip);
	if (skip + n < length)
		runs_put(runs, run + skip + n, length - skip - n);
	return run + skip;
}

/* How far from `index` the next unit is whose address is a multiple of `align` units. */
static size_t skip_to_align(const struct filler_zone *z, size_t index, size_t align)
{
	size_t number = ((uintptr_t)z->zone.data.base >> machine.unit_shift) + index;

	return -number & (align - 1);
}

/* Take units of a run, if `find` finds one. */
static struct unit *take_run(struct filler *f, struct runs *runs, size_t n, size_t align,
                             struct unit *(*find)(const struct runs *, size_t))
{
	struct unit *run = find(runs, n + align - 1);

	if (!run)
		return NULL;
	struct filler_zone *z = zone_of_unit(f, run);
	return cut_run(f, run, skip_to_align(z, index_of(z, run), align), n);
}

/* Room to grow is only address space, but a zone has to have plenty of it. */
static bool has_room_to_grow(struct filler_zone *z, size_t end, size_t growth)
{
	return end + growth <= z->zone.units / 2 && zone_need(z, end + growth);
}

static struct unit *take_top_of(struct filler *f, struct filler_zone *z, size_t n, size_t align,
                                size_t growth)
{
	size_t top = z->top, skip = skip_to_align(z, top, align), end = top + skip + n;

	if (!zone_need(z, end))
		return NULL;
	if (!has_room_to_grow(z, end, growth))
		growth = 0;
	at_set(&z->top, end + growth);
	/* What is left free behind is not joined: it would only lower the top again. */
	set_state(unit_at(z, end), growth, UNIT_CLEAN);
	if (growth)
		runs_put(&f->clean, unit_at(z, end), growth);
	if (skip)
		stock_put(f, z, unit_at(z, top), skip, UNIT_CLEAN);
	return unit_at(z, top + skip);
}

static struct unit *take_top(struct filler *f, size_t n, size_t align, size_t growth)
{
	struct unit *u = NULL;

	for (size_t i = 0; !u && i < at_acquire(&f->zone_count); i++)
		u = take_top_of(f, &f->zones[i], n, align, growth);
	return u;
}

struct unit *stock_take(struct filler *f, size_t n, size_t align, size_t growth)
{
	struct unit *u = take_run(f, &f->kept, n, align, runs_find);

	if (!u && !growth)
		u = take_run(f, &f->clean, n, align, runs_find);
	if (!u)
		u = take_top(f, n, align, growth);
	/* A long search is better than to find nothing. */
	if (!u)
		u = take_run(f, &f->kept, n, align, runs_search);
	if (!u)
		u = take_run(f, &f->clean, n, align, runs_search);
	if (u) {
		note_breakage(zone_of_unit(f, u), u, n);
		demand_rise(n);
	}
	return u;
}

bool stock_take_at(struct filler *f, struct filler_zone *z, size_t index, size_t n)
{
	struct unit *u = unit_at(z, index);

	if (index == z->top) {
		if (!raise_top(z, index + n))
			return false;
	} else {
		if (u->state != UNIT_KEPT && u->state != UNIT_CLEAN)
			return false;
		/* A run that ends at the top can be made longer. */
		if (u->run < n && (index + u->run != z->top || !raise_top(z, index + n)))
			return false;
		cut_run(f, u, 0, n < u->run ? n : u->run);
	}
	note_breakage(z, u, n);
	demand_rise(n);
	return true;
}

struct unit *stock_claim_kept(struct filler *f, size_t most, size_t *n)
{
	struct unit *run = runs_longest(&f->kept);

	if (!run)
		return NULL;
	*n = run->run < most ? run->run : most;
	struct unit *u = cut_run(f, run, run->run - *n, *n);
	set_state(u, *n, UNIT_BUSY);
	return u;
}
