#include "pmd/filler.h"

#include <string.h>

#include "kernel/say.h"
#include "pmd/demand.h"
#include "pmd/pack.h"
#include "pmd/stock.h"
#include "report/stats.h"

/* ---- sizes ---- */

/* A size with this bit is hidden. */
#define HIDDEN (1u << 31)

static inline uint32_t *size_of(const struct filler_zone *z, const void *p)
{
	return (uint32_t *)z->sizes.base + page_of(z, p);
}

static inline void set_size(const struct filler_zone *z, const void *p, size_t pages)
{
	at_set(size_of(z, p), (uint32_t)pages);
}

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

/* ---- extents below a unit ---- */

/* Whether so much lies in sparse units that they should be filled before free units are opened. */
static bool fill_sparse(const struct filler *f)
{
	size_t used = f->pack.used_pages + f->whole_units * UNIT_PAGES;

	return f->pack.sparse_pages > used / 100 * f->sparse_percent;
}

static struct unit *open_free(struct filler *f, unsigned *from)
{
	struct unit *u = stock_take(f, 1, 1, 0);

	*from = 0;
	if (u)
		pack_open(&f->pack, u);
	return u;
}

static struct unit *find_room(struct filler *f, unsigned pages, unsigned align, unsigned *from)
{
	unsigned first = fill_sparse(f) ? PACK_SPARSE : PACK_DENSE;
	struct unit *u = pack_find(&f->pack, first, pages, align, from);

	if (!u)
		u = open_free(f, from);
	if (!u && first != PACK_SPARSE)
		u = pack_find(&f->pack, PACK_SPARSE, pages, align, from);
	return u;
}

static void *alloc_part(struct filler *f, unsigned pages, unsigned align, bool *zero)
{
	unsigned from;
	struct unit *u = find_room(f, pages, align, &from);

	if (!u)
		return NULL;
	struct filler_zone *z = zone_of_unit(f, u);
	void *p = address_of(z, u, from);
	*zero = !bits_any(&u->touched, from, pages);
	pack_use(&f->pack, u, from, pages);
	set_size(z, p, pages);
	return p;
}

/* Free pages of a partly used unit; a unit that empties is kept, unless it is being demoted: then
 * whoever does it will see. */
static void free_pages(struct filler *f, struct filler_zone *z, struct unit *u, unsigned from,
                       unsigned n)
{
	pack_unuse(&f->pack, u, from, n);
	if (u->used_count || u->busy)
		return;
	pack_close(&f->pack, u);
	demand_fall(1);
	stock_put(f, z, u, 1, UNIT_KEPT);
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

static void unuse_whole(struct filler *f, struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		memset(&u[i].used, 0, sizeof(u[i].used));
		u[i].used_count = 0;
	}
	f->whole_units -= n;
}

/* Start a partly used unit with its first `pages` pages: the last unit of a large extent. */
static void use_tail(struct filler *f, struct unit *u, unsigned pages)
{
	pack_open(&f->pack, u);
	pack_use(&f->pack, u, 0, pages);
}

static void *alloc_units(struct filler *f, const struct filler_request *r, bool *zero)
{
	size_t whole = r->pages / UNIT_PAGES;
	unsigned tail = (unsigned)(r->pages % UNIT_PAGES);
	size_t align = r->align > UNIT_PAGES ? r->align / UNIT_PAGES : 1;
	struct unit *u = stock_take(f, whole + !!tail, align, r->growth);

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
	unuse_whole(f, u, n);
	demand_fall(n);
	stock_put(f, z, u, n, UNIT_KEPT);
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
	/* Whole units: `from` is a unit boundary here, see shrink(). */
	size_t whole = (pages - from) / UNIT_PAGES;
	unsigned tail = (unsigned)((pages - from) % UNIT_PAGES);
	if (tail)
		free_pages(f, z, u + whole, 0, tail);
	if (whole)
		free_whole(f, z, u, whole);
}

/* ---- taking and freeing ---- */

void *filler_alloc(struct filler *f, const struct filler_request *r, bool *zero)
{
	void *p;

	if (r->pages >= HIDDEN || r->align >= HIDDEN)
		return NULL; /* no room for its size: 8 TiB */
	pthread_mutex_lock(&f->lock);
	if (r->pages < UNIT_PAGES && r->pages + r->align - 1 <= UNIT_PAGES)
		p = alloc_part(f, (unsigned)r->pages, (unsigned)r->align, zero);
	else
		p = alloc_units(f, r, zero);
	pthread_mutex_unlock(&f->lock);
	if (p)
		stat_add(large_used, r->pages << machine.grain_shift);
	return p;
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

/* ---- resizing ---- */

/* Grow within the partly used unit that holds the extent's end. */
static bool grow_part(struct filler *f, struct unit *u, unsigned end, unsigned more)
{
	if (u->busy || end + more > UNIT_PAGES || bits_any(&u->used, end, more))
		return false;
	pack_use(&f->pack, u, end, more);
	return true;
}

/* Turn an extent's partly used last unit into a whole one, or back. */
static void tail_to_whole(struct filler *f, struct unit *u)
{
	pack_close(&f->pack, u);
	use_whole(f, u, 1);
}

static void whole_to_tail(struct filler *f, struct unit *u, unsigned pages)
{
	unuse_whole(f, u, 1);
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
	if (tail && (u->busy || u->used_count != tail))
		return false;
	size_t begin = last + !!tail;
	size_t end = (first + pages + UNIT_PAGES - 1) / UNIT_PAGES;
	if (end > begin && !stock_take_at(f, z, begin, end - begin))
		return false;
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

static bool grow(struct filler *f, struct filler_zone *z, size_t first, size_t old, size_t pages)
{
	struct unit *u = unit_at(z, first / UNIT_PAGES);

	if (u->state != UNIT_PART)
		return grow_units(f, z, first, old, pages);
	return pages < UNIT_PAGES &&
	       grow_part(f, u, (unsigned)(first % UNIT_PAGES + old), (unsigned)(pages - old));
}

bool filler_resize(struct filler *f, void *extent, size_t pages)
{
	struct filler_zone *z = filler_zone_of(f, extent);
	size_t old = filler_size(f, extent), first = page_of(z, extent);
	bool done = true;

	must(old && pages);
	if (pages >= HIDDEN)
		return false;
	pthread_mutex_lock(&f->lock);
	if (pages < old)
		shrink(f, z, first, old, pages);
	else if (pages > old)
		done = grow(f, z, first, old, pages);
	if (done)
		set_size(z, extent, pages);
	pthread_mutex_unlock(&f->lock);
	if (done)
		stat_add(large_used, (pages - old) << machine.grain_shift);
	return done;
}

/* ---- moving ---- */

/* A VMA moves with its advice. */
static void note_move(struct filler *f, struct unit *from, struct unit *to, size_t n)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n; i++) {
		f->demoted_units += from[i].demoted;
		f->demoted_units -= to[i].demoted;
		to[i].moved = true;
		to[i].broken = from[i].broken;
		to[i].demoted = from[i].demoted;
	}
	pthread_mutex_unlock(&f->lock);
}

/* mremap may have unmapped `to` before it found out that it cannot: if `from` is more than one VMA,
 * it does so before Linux 6.17.  Map it again, with the zone's advice. */
static void mend_target(struct filler *f, struct filler_zone *z, void *p, size_t n)
{
	struct unit *u = unit_at(z, page_of(z, p) / UNIT_PAGES);

	if (kernel->remap(p, n << machine.unit_shift))
		return;
	zone_readvise(&z->zone, p, n << machine.unit_shift);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n; i++) {
		f->demoted_units -= u[i].demoted;
		u[i].demoted = false;
		u[i].broken = !at_get(&z->zone.huge);
	}
	pthread_mutex_unlock(&f->lock);
}

size_t filler_move(struct filler *f, void *from, void *to)
{
	struct filler_zone *z = filler_zone_of(f, to), *from_z = filler_zone_of(f, from);
	size_t units = filler_size(f, from) / UNIT_PAGES, bytes = units << machine.unit_shift;

	if (((uintptr_t)from | (uintptr_t)to) & (machine.unit - 1) || !units)
		return 0;
	if (kernel->move(from, bytes, to)) {
		mend_target(f, z, to, units);
		return 0;
	}
	note_move(f, unit_at(from_z, page_of(from_z, from) / UNIT_PAGES),
	          unit_at(z, page_of(z, to) / UNIT_PAGES), units);
	stat_add(realloc_moved_units, units);
	return bytes;
}
