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

/* ---- pages and units ---- */

static void use_whole(struct filler *f, struct unit *u)
{
	memset(&u->used, 0xff, sizeof(u->used));
	memset(&u->touched, 0xff, sizeof(u->touched));
	u->used_count = UNIT_PAGES;
	u->state = UNIT_WHOLE;
	f->whole_units++;
}

static void unuse_whole(struct filler *f, struct unit *u)
{
	memset(&u->used, 0, sizeof(u->used));
	u->used_count = 0;
	f->whole_units--;
}

/* Mark pages [first, end) of a zone used.  Units among them that are not partly used were just
 * taken from the stock; those that are filled to the last page hold one extent only. */
static void use_range(struct filler *f, struct filler_zone *z, size_t first, size_t end)
{
	while (first < end) {
		struct unit *u = unit_at(z, first / UNIT_PAGES);
		unsigned from = (unsigned)(first % UNIT_PAGES);
		unsigned n = end - first < UNIT_PAGES - from ? (unsigned)(end - first)
		                                             : UNIT_PAGES - from;

		if (u->state != UNIT_PART && n == UNIT_PAGES)
			use_whole(f, u);
		else {
			if (u->state != UNIT_PART)
				pack_open(&f->pack, u);
			pack_use(&f->pack, u, from, n);
		}
		first += n;
	}
}

/* A partly used unit that empties is kept, unless it is being demoted: then whoever does that will
 * see. */
static void free_in_part(struct filler *f, struct filler_zone *z, struct unit *u, unsigned from,
                         unsigned n)
{
	pack_unuse(&f->pack, u, from, n);
	if (u->used_count || u->busy)
		return;
	pack_close(&f->pack, u);
	demand_fall(1);
	stock_put(f, z, u, 1, UNIT_KEPT);
}

static void free_whole(struct filler *f, struct filler_zone *z, struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		unuse_whole(f, &u[i]);
	demand_fall(n);
	stock_put(f, z, u, n, UNIT_KEPT);
}

/* Free part of a unit that was filled by one extent: it becomes a partly used one. */
static void free_in_whole(struct filler *f, struct filler_zone *z, struct unit *u, unsigned from,
                          unsigned n)
{
	unuse_whole(f, u);
	pack_open(&f->pack, u);
	pack_use(&f->pack, u, 0, UNIT_PAGES);
	free_in_part(f, z, u, from, n);
}

static size_t whole_units_from(const struct filler_zone *z, size_t first, size_t end)
{
	size_t n = 0;

	while (first + (n + 1) * UNIT_PAGES <= end &&
	       unit_at(z, first / UNIT_PAGES + n)->state == UNIT_WHOLE)
		n++;
	return n;
}

/* Free pages [first, end) of a zone, all of one extent. */
static void free_range(struct filler *f, struct filler_zone *z, size_t first, size_t end)
{
	while (first < end) {
		struct unit *u = unit_at(z, first / UNIT_PAGES);
		unsigned from = (unsigned)(first % UNIT_PAGES);
		size_t whole = from ? 0 : whole_units_from(z, first, end);
		unsigned n = end - first < UNIT_PAGES - from ? (unsigned)(end - first)
		                                             : UNIT_PAGES - from;

		if (whole) {
			free_whole(f, z, u, whole);
			first += whole * UNIT_PAGES;
			continue;
		}
		if (u->state == UNIT_WHOLE)
			free_in_whole(f, z, u, from, n);
		else
			free_in_part(f, z, u, from, n);
		first += n;
	}
}

static bool untouched(const struct filler_zone *z, size_t first, size_t end)
{
	while (first < end) {
		unsigned from = (unsigned)(first % UNIT_PAGES);
		unsigned n = end - first < UNIT_PAGES - from ? (unsigned)(end - first)
		                                             : UNIT_PAGES - from;

		if (bits_any(&unit_at(z, first / UNIT_PAGES)->touched, from, n))
			return false;
		first += n;
	}
	return true;
}

/* ---- finding a place ---- */

/* A place: the zone, and the page of it. */
struct place {
	struct filler_zone *zone;
	size_t first;
};

static struct place place_in(struct filler *f, struct unit *u, unsigned from)
{
	struct filler_zone *z = u ? zone_of_unit(f, u) : NULL;

	return (struct place){z, u ? index_of(z, u) * UNIT_PAGES + from : 0};
}

static struct place in_pack(struct filler *f, unsigned most, const struct filler_request *r)
{
	unsigned from = 0;
	struct unit *u = pack_find(&f->pack, most, (unsigned)r->pages, (unsigned)r->align, &from);

	return place_in(f, u, from);
}

static struct place across(struct filler *f, const struct filler_request *r)
{
	struct place p = {NULL, 0};

	if (r->align == 1 && r->pages >= SEAM_LEAST && r->pages <= SEAM_MOST)
		p.zone = seam_find(f, r->pages, &p.first);
	return p;
}

static struct place in_free_units(struct filler *f, const struct filler_request *r)
{
	size_t units = (r->pages + UNIT_PAGES - 1) / UNIT_PAGES;
	size_t align = r->align > UNIT_PAGES ? r->align / UNIT_PAGES : 1;

	return place_in(f, stock_take(f, units, align, r->growth), 0);
}

/* Whether so much lies in sparse units that they should be filled before free units are opened. */
static bool fill_sparse(const struct filler *f)
{
	size_t used = f->pack.used_pages + f->whole_units * UNIT_PAGES;

	return f->pack.sparse_pages > used / 100 * f->sparse_percent;
}

static struct place find_place(struct filler *f, const struct filler_request *r)
{
	bool fits_unit = r->pages < UNIT_PAGES && r->pages + r->align - 1 <= UNIT_PAGES;
	unsigned first = fill_sparse(f) ? PACK_SPARSE : PACK_DENSE;
	struct place p = {NULL, 0};

	if (fits_unit)
		p = in_pack(f, first, r);
	if (!p.zone)
		p = across(f, r);
	if (!p.zone)
		p = in_free_units(f, r);
	if (!p.zone && fits_unit && first != PACK_SPARSE)
		p = in_pack(f, PACK_SPARSE, r);
	return p;
}

/* ---- taking and freeing ---- */

/* An extent that ends inside a unit leaves room for one across its end. */
static void note_seam(struct filler *f, struct filler_zone *z, size_t end, size_t pages)
{
	if (pages >= SEAM_LEAST && end % UNIT_PAGES)
		seam_note(&f->seams, unit_at(z, end / UNIT_PAGES));
}

void *filler_alloc(struct filler *f, const struct filler_request *r, bool *zero)
{
	void *p = NULL;

	if (r->pages >= HIDDEN || r->align >= HIDDEN)
		return NULL; /* no room for its size: 8 TiB */
	pthread_mutex_lock(&f->lock);
	struct place place = find_place(f, r);
	if (place.zone) {
		size_t end = place.first + r->pages;

		p = place.zone->zone.data.base + (place.first << machine.grain_shift);
		*zero = untouched(place.zone, place.first, end);
		use_range(f, place.zone, place.first, end);
		note_seam(f, place.zone, end, r->pages);
		set_size(place.zone, p, r->pages);
	}
	pthread_mutex_unlock(&f->lock);
	if (p)
		stat_add(large_used, r->pages << machine.grain_shift);
	return p;
}

size_t filler_free(struct filler *f, void *extent)
{
	struct filler_zone *z = filler_zone_of(f, extent);
	size_t pages = filler_size(f, extent), first = page_of(z, extent);

	must(pages);
	pthread_mutex_lock(&f->lock);
	set_size(z, extent, 0);
	free_range(f, z, first, first + pages);
	if (first / UNIT_PAGES != (first + pages - 1) / UNIT_PAGES && first % UNIT_PAGES)
		seam_note(&f->seams, unit_at(z, first / UNIT_PAGES));
	pthread_mutex_unlock(&f->lock);
	stat_sub(large_used, pages << machine.grain_shift);
	return pages;
}

/* ---- resizing ---- */

/* Whether pages [end, new_end), behind an extent's end, can be had: in the unit that it ends in,
 * and in free units behind, which are taken. */
static bool take_behind(struct filler *f, struct filler_zone *z, size_t end, size_t new_end)
{
	size_t border = (end + UNIT_PAGES - 1) / UNIT_PAGES * UNIT_PAGES;
	const struct unit *u = unit_at(z, end / UNIT_PAGES);
	size_t inside = new_end < border ? new_end : border;

	if (inside > end &&
	    (u->busy || bits_any(&u->used, (unsigned)(end % UNIT_PAGES), (unsigned)(inside - end))))
		return false;
	return new_end <= border || stock_take_at(f, z, border / UNIT_PAGES,
	                                          (new_end - border + UNIT_PAGES - 1) / UNIT_PAGES);
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
		free_range(f, z, first + pages, first + old);
	else if (pages > old)
		done = take_behind(f, z, first + old, first + pages);
	if (done && pages > old)
		use_range(f, z, first + old, first + pages);
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
static bool mend_target(struct filler *f, struct filler_zone *z, void *p, size_t n)
{
	struct unit *u = unit_at(z, page_of(z, p) / UNIT_PAGES);

	if (kernel->remap(p, n << machine.unit_shift))
		return false;
	zone_readvise(&z->zone, p, n << machine.unit_shift);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n; i++) {
		f->demoted_units -= u[i].demoted;
		u[i].demoted = false;
		u[i].broken = !at_get(&z->zone.huge);
	}
	pthread_mutex_unlock(&f->lock);
	return true;
}

size_t filler_move(struct filler *f, void *from, void *to)
{
	struct filler_zone *z = filler_zone_of(f, to), *from_z = filler_zone_of(f, from);
	size_t units = filler_size(f, from) / UNIT_PAGES, bytes = units << machine.unit_shift;

	if (((uintptr_t)from | (uintptr_t)to) & (machine.unit - 1) || !units)
		return 0;
	if (kernel->move(from, bytes, to))
		return mend_target(f, z, to, units) ? 0 : SIZE_MAX;
	note_move(f, unit_at(from_z, page_of(from_z, from) / UNIT_PAGES),
	          unit_at(z, page_of(z, to) / UNIT_PAGES), units);
	stat_add(realloc_moved_units, units);
	return bytes;
}
