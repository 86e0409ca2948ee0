#include "pmd/filler.h"

#include <errno.h>
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/say.h"
#include "pmd/demand.h"
#include "pmd/list.h"
#include "report/stats.h"

/* ---- zones and addresses ---- */

void filler_init(struct filler *f)
{
	memset(f, 0, sizeof(*f));
	f->lock = (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
}

int filler_add_zone(struct filler *f, size_t bytes, size_t least)
{
	size_t n = at_acquire(&f->zone_count);

	if (n == FILLER_ZONES)
		return ENOMEM;
	struct filler_zone *z = &f->zones[n];
	if (zone_open(&z->zone, "large", NULL, bytes, least, machine.unit))
		return ENOMEM;
	/* Boundary tags of a run are read one unit to either side: hence one unit more. */
	if (prefix_reserve(&z->units, NULL, (z->zone.units + 1) * sizeof(struct unit), machine.page) ||
	    prefix_reserve(&z->sizes, NULL, z->zone.units * UNIT_PAGES * sizeof(uint32_t),
			   machine.page))
		return ENOMEM;
	z->top = 0;
	at_publish(&f->zone_count, n + 1);
	return 0;
}

struct filler_zone *filler_zone_of(struct filler *f, const void *p)
{
	size_t n = at_acquire(&f->zone_count);

	for (size_t i = 0; i < n; i++)
		if (zone_owns(&f->zones[i].zone, p))
			return &f->zones[i];
	return NULL;
}

static inline struct unit *unit_at(const struct filler_zone *z, size_t index)
{
	return (struct unit *)z->units.base + index;
}

static inline size_t index_of(const struct filler_zone *z, const struct unit *u)
{
	return (size_t)(u - (const struct unit *)z->units.base);
}

static inline size_t page_of(const struct filler_zone *z, const void *p)
{
	return (size_t)((const char *)p - z->zone.data.base) >> machine.grain_shift;
}

static inline void *address_of(const struct filler_zone *z, const struct unit *u, unsigned page)
{
	return z->zone.data.base + (index_of(z, u) << machine.unit_shift) +
	       ((size_t)page << machine.grain_shift);
}

static inline uint32_t *size_of(const struct filler_zone *z, const void *p)
{
	return (uint32_t *)z->sizes.base + page_of(z, p);
}

static inline void set_size(const struct filler_zone *z, const void *p, size_t pages)
{
	at_set(size_of(z, p), (uint32_t)pages);
}

/* The zone whose unit array holds u. */
static struct filler_zone *zone_of_unit(struct filler *f, const struct unit *u)
{
	for (size_t i = 0;; i++) {
		must(i < FILLER_ZONES);
		if ((uintptr_t)u - (uintptr_t)f->zones[i].units.base < f->zones[i].units.bytes)
			return &f->zones[i];
	}
}

/* ---- units that are partly used ---- */

static void part_insert(struct filler *f, struct unit *u)
{
	u->longest = (uint16_t)bits_longest_clear(&u->used);
	list_push(&f->part[u->longest], u);
	f->part_filled[u->longest / 64] |= 1ull << (u->longest % 64);
}

static void part_remove(struct filler *f, struct unit *u)
{
	list_remove(&f->part[u->longest], u);
	if (!f->part[u->longest])
		f->part_filled[u->longest / 64] &= ~(1ull << (u->longest % 64));
}

/* The shortest non-empty class from `longest` on; UNIT_PAGES + 1 if there is none. */
static unsigned part_next(const struct filler *f, unsigned longest)
{
	for (unsigned i = longest / 64; i <= BITS_WORDS; i++) {
		uint64_t w = f->part_filled[i];

		if (i == longest / 64)
			w &= ~0ull << (longest % 64);
		if (w)
			return i * 64 + (unsigned)__builtin_ctzll(w);
	}
	return UNIT_PAGES + 1;
}

static void use_pages(struct filler *f, struct unit *u, unsigned from, unsigned n)
{
	bits_set(&u->used, from, n);
	bits_set(&u->touched, from, n);
	u->used_count += (uint16_t)n;
	f->part_used_pages += n;
}

/* ---- free units ---- */

static void forget_contents(struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memset(&u[i].touched, 0, sizeof(u[i].touched));
}

/* Put units [first, first + n) into the index of their state, joined with free neighbours of the
 * same state.  Clean units below the top lower the top instead. */
static void free_units(struct filler *f, struct filler_zone *z, struct unit *first, size_t n,
		       enum unit_state state)
{
	struct runs *runs = state == UNIT_KEPT ? &f->kept : &f->clean;
	size_t index = index_of(z, first);

	if (index > 0 && first[-1].state == state) {
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
		z->top = index_of(z, first);
		for (size_t i = 0; i < n; i++)
			first[i].state = UNIT_UNUSED;
		return;
	}
	runs_put(runs, first, n, state);
}

/* Take the first n units from a run, `skip` units into it; the rest goes back to the index. */
static struct unit *cut_run(struct filler *f, struct unit *run, size_t skip, size_t n)
{
	enum unit_state state = run->state;
	struct runs *runs = state == UNIT_KEPT ? &f->kept : &f->clean;
	size_t length = run->run;

	runs_take(runs, run);
	if (skip)
		runs_put(runs, run, skip, state);
	if (skip + n < length)
		runs_put(runs, run + skip + n, length - skip - n, state);
	return run + skip;
}

static int zone_need(struct filler_zone *z, size_t units)
{
	return units > z->zone.units ||
	       prefix_need(&z->units, (units + 1) * sizeof(struct unit)) ||
	       prefix_need(&z->sizes, units * UNIT_PAGES * sizeof(uint32_t)) ||
	       prefix_need(&z->zone.data, units << machine.unit_shift);
}

/* How far from `index` the next unit is whose address is a multiple of `align` units. */
static size_t skip_to_align(const struct filler_zone *z, size_t index, size_t align)
{
	size_t number = ((uintptr_t)z->zone.data.base >> machine.unit_shift) + index;

	return -number & (align - 1);
}

/* Fresh units from a zone's top, with `growth` clean units left behind them. */
static struct unit *take_top(struct filler *f, size_t n, size_t align, size_t growth)
{
	size_t zones = at_acquire(&f->zone_count);

	for (size_t i = 0; i < zones; i++) {
		struct filler_zone *z = &f->zones[i];
		size_t top = z->top, skip = skip_to_align(z, top, align);

		if (zone_need(z, top + skip + n))
			continue;
		if (growth && (top + skip + n + growth > z->zone.units / 2 ||
			       zone_need(z, top + skip + n + growth)))
			growth = 0;
		z->top = top + skip + n + growth;
		if (skip)
			free_units(f, z, unit_at(z, top), skip, UNIT_CLEAN);
		if (growth)
			runs_put(&f->clean, unit_at(z, top + skip + n), growth, UNIT_CLEAN);
		return unit_at(z, top + skip);
	}
	return NULL;
}

static struct unit *take_run(struct filler *f, struct runs *runs, size_t n, size_t align)
{
	struct unit *run = runs_find(runs, n + align - 1);

	if (!run)
		return NULL;
	struct filler_zone *z = zone_of_unit(f, run);
	return cut_run(f, run, skip_to_align(z, index_of(z, run), align), n);
}

/* Take n neighbouring free units: kept ones first, since they cost nothing. */
static struct unit *take_units(struct filler *f, size_t n, size_t align, size_t growth)
{
	struct unit *u = take_run(f, &f->kept, n, align);

	if (!u && !growth)
		u = take_run(f, &f->clean, n, align);
	if (!u)
		u = take_top(f, n, align, growth);
	if (!u && growth)
		u = take_run(f, &f->clean, n, align);
	if (u)
		demand_rise(n);
	return u;
}

/* ---- extents below a unit ---- */

/* Of the first few units in a class, the fullest. */
static struct unit *fullest(struct unit *list)
{
	enum { LOOK_AT = 4 };
	struct unit *best = list;
	unsigned looked = 0;

	for (struct unit *u = list; u && looked < LOOK_AT; u = u->next, looked++)
		if (u->used_count > best->used_count)
			best = u;
	return best;
}

static struct unit *find_part(struct filler *f, unsigned pages, unsigned align, unsigned *from)
{
	/* A run of pages + align - 1 fits whatever its start; shorter ones may by luck, which
	 * is not worth a search. */
	unsigned class = part_next(f, pages + align - 1);

	if (class > UNIT_PAGES)
		return NULL;
	struct unit *u = fullest(f->part[class]);
	*from = bits_best_clear(&u->used, pages, align);
	must(*from != BITS_NONE);
	return u;
}

static struct unit *open_part(struct filler *f)
{
	struct unit *u = take_units(f, 1, 1, 0);

	if (u) {
		u->state = UNIT_PART;
		f->part_units++;
		part_insert(f, u);
	}
	return u;
}

static void *alloc_part(struct filler *f, unsigned pages, unsigned align, bool *zero)
{
	unsigned from = 0;
	struct unit *u = find_part(f, pages, align, &from);

	if (!u)
		u = open_part(f);
	if (!u)
		return NULL;
	struct filler_zone *z = zone_of_unit(f, u);
	void *p = address_of(z, u, from);
	*zero = !bits_any(&u->touched, from, pages);
	part_remove(f, u);
	use_pages(f, u, from, pages);
	part_insert(f, u);
	set_size(z, p, pages);
	return p;
}

/* Clear pages of a partly used unit; a unit that empties is kept. */
static void free_pages(struct filler *f, struct filler_zone *z, struct unit *u, unsigned from,
		       unsigned n)
{
	part_remove(f, u);
	bits_clear(&u->used, from, n);
	u->used_count -= (uint16_t)n;
	f->part_used_pages -= n;
	if (u->used_count) {
		part_insert(f, u);
		return;
	}
	f->part_units--;
	demand_fall(1);
	free_units(f, z, u, 1, UNIT_KEPT);
}

/* ---- extents of at least a unit ---- */

static bool untouched(const struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bits_any(&u[i].touched, 0, UNIT_PAGES))
			return false;
	return true;
}

static void use_whole(struct filler *f, struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		memset(&u[i].used, 0xff, sizeof(u[i].used));
		memset(&u[i].touched, 0xff, sizeof(u[i].touched));
		u[i].used_count = UNIT_PAGES;
		u[i].state = UNIT_WHOLE;
	}
	f->whole_units += n;
}

/* Start a partly used unit with its first `pages` pages: the last unit of a large extent. */
static void use_tail(struct filler *f, struct unit *u, unsigned pages)
{
	u->state = UNIT_PART;
	f->part_units++;
	use_pages(f, u, 0, pages);
	part_insert(f, u);
}

static void *alloc_units(struct filler *f, const struct filler_request *r, bool *zero)
{
	size_t whole = r->pages / UNIT_PAGES;
	unsigned tail = (unsigned)(r->pages % UNIT_PAGES);
	size_t align = r->align > UNIT_PAGES ? r->align / UNIT_PAGES : 1;
	struct unit *u = take_units(f, whole + !!tail, align, r->growth);

	if (!u)
		return NULL;
	struct filler_zone *z = zone_of_unit(f, u);
	void *p = address_of(z, u, 0);
	*zero = untouched(u, whole + !!tail);
	use_whole(f, u, whole);
	if (tail)
		use_tail(f, u + whole, tail);
	set_size(z, p, r->pages);
	return p;
}

static void free_whole(struct filler *f, struct filler_zone *z, struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		memset(&u[i].used, 0, sizeof(u[i].used));
		u[i].used_count = 0;
	}
	f->whole_units -= n;
	demand_fall(n);
	free_units(f, z, u, n, UNIT_KEPT);
}

/* Free pages [from, pages) of an extent that starts at page `first` of its zone. */
static void free_range(struct filler *f, struct filler_zone *z, size_t first, size_t from,
		       size_t pages)
{
	struct unit *u = unit_at(z, (first + from) / UNIT_PAGES);

	if (u->state == UNIT_PART) {
		free_pages(f, z, u, (unsigned)((first + from) % UNIT_PAGES),
			   (unsigned)(pages - from));
		return;
	}
	/* Whole units first: `from` is a unit boundary here, see shrink(). */
	size_t whole = (pages - from) / UNIT_PAGES;
	unsigned tail = (unsigned)((pages - from) % UNIT_PAGES);
	if (tail)
		free_pages(f, z, u + whole, 0, tail);
	if (whole)
		free_whole(f, z, u, whole);
}

/* ---- the public calls ---- */

void *filler_alloc(struct filler *f, const struct filler_request *r, bool *zero)
{
	void *p;

	pthread_mutex_lock(&f->lock);
	if (r->pages + r->align - 1 <= UNIT_PAGES)
		p = alloc_part(f, (unsigned)r->pages, (unsigned)r->align, zero);
	else if (r->pages < UNIT_PAGES && r->align <= UNIT_PAGES)
		p = alloc_units(f, &(struct filler_request){ r->pages, 1, 0 }, zero);
	else
		p = alloc_units(f, r, zero);
	pthread_mutex_unlock(&f->lock);
	if (p)
		stat_add(large_used, r->pages << machine.grain_shift);
	return p;
}

/* A size with this bit is hidden. */
#define HIDDEN (1u << 31)

size_t filler_size(struct filler *f, const void *p)
{
	struct filler_zone *z = filler_zone_of(f, p);
	size_t end = (page_of(z, p) + 1) * sizeof(uint32_t);

	if ((uintptr_t)p & (machine.grain - 1) || end > at_acquire(&z->sizes.ready))
		return 0;
	uint32_t pages = at_get(size_of(z, p));
	return pages & HIDDEN ? 0 : pages;
}

void filler_hide(struct filler *f, const void *extent)
{
	uint32_t *size = size_of(filler_zone_of(f, extent), extent);

	at_set(size, *size | HIDDEN);
}

void filler_show(struct filler *f, const void *extent)
{
	uint32_t *size = size_of(filler_zone_of(f, extent), extent);

	at_set(size, *size & ~HIDDEN);
}

size_t filler_free(struct filler *f, void *extent)
{
	struct filler_zone *z = filler_zone_of(f, extent);
	size_t pages = filler_size(f, extent);

	must(pages);
	pthread_mutex_lock(&f->lock);
	set_size(z, extent, 0);
	free_range(f, z, page_of(z, extent), 0, pages);
	pthread_mutex_unlock(&f->lock);
	stat_sub(large_used, pages << machine.grain_shift);
	return pages;
}

/* Grow within the partly used unit that holds the extent's end. */
static bool grow_part(struct filler *f, struct unit *u, unsigned end, unsigned more)
{
	if (end + more > UNIT_PAGES || bits_any(&u->used, end, more))
		return false;
	part_remove(f, u);
	use_pages(f, u, end, more);
	part_insert(f, u);
	return true;
}

static bool raise_top(struct filler_zone *z, size_t top)
{
	if (zone_need(z, top))
		return false;
	z->top = top;
	return true;
}

/* Take the n units behind `index`: from a free run, from the zone's top, or from a run that ends
 * there and the top. */
static bool take_behind(struct filler *f, struct filler_zone *z, size_t index, size_t n)
{
	if (index == z->top)
		return raise_top(z, index + n);
	struct unit *u = unit_at(z, index);
	if (u->state != UNIT_KEPT && u->state != UNIT_CLEAN)
		return false;
	if (u->run < n && (index + u->run != z->top || !raise_top(z, index + n)))
		return false;
	cut_run(f, u, 0, n < u->run ? n : u->run);
	return true;
}

/* Turn the extent's partly used last unit into a whole one, or back. */
static void tail_to_whole(struct filler *f, struct unit *u)
{
	part_remove(f, u);
	f->part_units--;
	f->part_used_pages -= u->used_count;
	use_whole(f, u, 1);
}

static void whole_to_tail(struct filler *f, struct unit *u, unsigned pages)
{
	f->whole_units--;
	memset(&u->used, 0, sizeof(u->used));
	u->used_count = 0;
	use_tail(f, u, pages);
}

/* Grow an extent of at least a unit.  Its last unit, if partly used, must be its alone. */
static bool grow_units(struct filler *f, struct filler_zone *z, size_t first, size_t old,
		       size_t pages)
{
	unsigned tail = (unsigned)(old % UNIT_PAGES), new_tail = (unsigned)(pages % UNIT_PAGES);
	size_t last = (first + old) / UNIT_PAGES; /* the unit of the tail, or the first behind */
	struct unit *u = unit_at(z, last);

	if (tail && last == (first + pages) / UNIT_PAGES)
		return grow_part(f, u, tail, (unsigned)(pages - old));
	if (tail && u->used_count != tail)
		return false;
	size_t begin = last + !!tail;
	size_t end = (first + pages + UNIT_PAGES - 1) / UNIT_PAGES;
	if (end > begin && !take_behind(f, z, begin, end - begin))
		return false;
	demand_rise(end - begin);
	if (tail)
		tail_to_whole(f, u);
	use_whole(f, unit_at(z, begin), end - begin - (new_tail && end > begin));
	if (new_tail)
		use_tail(f, unit_at(z, end - 1), new_tail);
	return true;
}

static void shrink(struct filler *f, struct filler_zone *z, size_t first, size_t old, size_t pages)
{
	struct unit *u = unit_at(z, (first + pages) / UNIT_PAGES);
	unsigned tail = (unsigned)((first + pages) % UNIT_PAGES);
	size_t whole_end = (first + pages) / UNIT_PAGES + 1; /* the first unit behind the new end */

	if (u->state == UNIT_WHOLE && tail) {
		/* The new end cuts a whole unit: that one becomes partly used. */
		size_t behind = whole_end * UNIT_PAGES - first;

		if (old > behind)
			free_range(f, z, first, behind, old);
		whole_to_tail(f, u, tail);
		return;
	}
	free_range(f, z, first, pages, old);
}

bool filler_resize(struct filler *f, void *extent, size_t pages)
{
	struct filler_zone *z = filler_zone_of(f, extent);
	size_t old = filler_size(f, extent), first = page_of(z, extent);
	bool done = true;

	must(old && pages);
	pthread_mutex_lock(&f->lock);
	bool in_part = unit_at(z, first / UNIT_PAGES)->state == UNIT_PART;
	if (pages < old)
		shrink(f, z, first, old, pages);
	else if (pages > old && in_part)
		done = pages < UNIT_PAGES &&
		       grow_part(f, unit_at(z, first / UNIT_PAGES),
				 (unsigned)(first % UNIT_PAGES + old), (unsigned)(pages - old));
	else if (pages > old)
		done = grow_units(f, z, first, old, pages);
	if (done)
		set_size(z, extent, pages);
	pthread_mutex_unlock(&f->lock);
	if (done)
		stat_add(large_used, (pages - old) << machine.grain_shift);
	return done;
}

size_t filler_move(struct filler *f, void *from, void *to)
{
	struct filler_zone *z = filler_zone_of(f, to);
	size_t units = filler_size(f, from) / UNIT_PAGES;

	if (((uintptr_t)from | (uintptr_t)to) & (machine.unit - 1) || !units)
		return 0;
	if (kernel->move(from, units << machine.unit_shift, to))
		return 0;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < units; i++)
		unit_at(z, page_of(z, to) / UNIT_PAGES)[i].moved = true;
	pthread_mutex_unlock(&f->lock);
	stat_add(realloc_moved_units, units);
	return units << machine.unit_shift;
}

/* ---- giving back ---- */

/* Return units to the kernel, off the lock.  Where mremap left VMAs of their own, mapping afresh
 * returns the memory too and lets the VMAs merge. */
static int return_units(struct filler_zone *z, struct unit *u, size_t n)
{
	void *p = address_of(z, u, 0);
	size_t bytes = n << machine.unit_shift;
	bool moved = false;

	for (size_t i = 0; i < n; i++)
		moved |= u[i].moved;
	if (!moved)
		return kernel->give_back(p, bytes);
	int error = kernel->remap(p, bytes);
	if (!error) {
		zone_readvise(&z->zone, p, bytes);
		for (size_t i = 0; i < n; i++)
			u[i].moved = false;
	}
	return error;
}

/* Take up to `most` kept units out as BUSY, neighbours of one run; NULL if none is kept. */
static struct unit *claim(struct filler *f, size_t most, size_t *n)
{
	struct unit *run = runs_longest(&f->kept);

	if (!run)
		return NULL;
	*n = run->run < most ? run->run : most;
	struct unit *u = cut_run(f, run, run->run - *n, *n);
	for (size_t i = 0; i < *n; i++)
		u[i].state = UNIT_BUSY;
	return u;
}

static bool return_some(struct filler *f, size_t most, size_t *done)
{
	size_t n = 0;

	pthread_mutex_lock(&f->lock);
	struct unit *u = claim(f, most, &n);
	pthread_mutex_unlock(&f->lock);
	if (!u)
		return false;
	struct filler_zone *z = zone_of_unit(f, u);
	int error = return_units(z, u, n);
	pthread_mutex_lock(&f->lock);
	if (!error)
		forget_contents(u, n);
	free_units(f, z, u, n, error ? UNIT_KEPT : UNIT_CLEAN);
	pthread_mutex_unlock(&f->lock);
	if (error) {
		stat_add(return_failures, 1);
		return false;
	}
	stat_add(returned_units, n);
	stat_add(return_calls, 1);
	*done += n;
	return true;
}

size_t filler_return(struct filler *f, size_t most)
{
	size_t done = 0;

	while (done < most && return_some(f, most - done, &done))
		;
	return done;
}

size_t filler_kept(struct filler *f)
{
	return __atomic_load_n(&f->kept.units, __ATOMIC_RELAXED);
}

/* ---- invariants ---- */

static bool unit_consistent(const struct unit *u)
{
	unsigned count = bits_count(&u->used);

	if (count != u->used_count)
		return false;
	for (unsigned i = 0; i < BITS_WORDS; i++)
		if (u->used.w[i] & ~u->touched.w[i])
			return false;
	switch (u->state) {
	case UNIT_PART:
		return count > 0 && u->longest == bits_longest_clear(&u->used);
	case UNIT_WHOLE:
		return count == UNIT_PAGES;
	case UNIT_CLEAN:
		return count == 0 && !bits_any(&u->touched, 0, UNIT_PAGES);
	case UNIT_KEPT:
	case UNIT_BUSY:
		return count == 0;
	default:
		return false;
	}
}

struct census {
	size_t state[UNIT_BUSY + 1];
	size_t part_pages;
};

/* Free neighbours of one state must be one run. */
static bool runs_are_joined(const struct filler_zone *z)
{
	for (size_t i = 0; i < z->top;) {
		const struct unit *u = unit_at(z, i);

		if (u->state != UNIT_KEPT && u->state != UNIT_CLEAN) {
			i++;
			continue;
		}
		i += u->run;
		if (i < z->top && u[u->run].state == u->state)
			return false;
	}
	return true;
}

static bool zone_consistent(const struct filler_zone *z, struct census *c)
{
	for (size_t i = 0; i < z->top; i++) {
		const struct unit *u = unit_at(z, i);

		if (!unit_consistent(u))
			return false;
		c->state[u->state]++;
		if (u->state == UNIT_PART)
			c->part_pages += u->used_count;
	}
	return runs_are_joined(z);
}

static bool parts_consistent(const struct filler *f, const struct census *c)
{
	size_t units = 0;

	for (unsigned class = 0; class <= UNIT_PAGES; class++) {
		bool filled = f->part_filled[class / 64] >> (class % 64) & 1;

		if (filled != (f->part[class] != NULL))
			return false;
		for (const struct unit *u = f->part[class]; u; u = u->next, units++)
			if (u->longest != class || u->state != UNIT_PART)
				return false;
	}
	return units == f->part_units && units == c->state[UNIT_PART] &&
	       f->part_used_pages == c->part_pages;
}

bool filler_consistent(struct filler *f)
{
	struct census c = { 0 };
	bool ok = true;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; ok && i < at_acquire(&f->zone_count); i++)
		ok = zone_consistent(&f->zones[i], &c);
	ok = ok && parts_consistent(f, &c) && runs_consistent(&f->kept, UNIT_KEPT) &&
	     runs_consistent(&f->clean, UNIT_CLEAN) && f->kept.units == c.state[UNIT_KEPT] &&
	     f->clean.units == c.state[UNIT_CLEAN] && f->whole_units == c.state[UNIT_WHOLE];
	pthread_mutex_unlock(&f->lock);
	return ok;
}
