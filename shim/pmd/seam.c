#include "pmd/seam.h"

#include "pmd/filler.h"
#include "pmd/stock.h"

void seam_note(struct seams *s, struct unit *u)
{
	s->at[s->next] = u;
	s->next = (s->next + 1) % SEAMS;
}

static bool is_packed(const struct unit *u)
{
	return u->state == UNIT_PART && !u->busy && !u->demoted;
}

/* Free pages at the end of a unit. */
static unsigned free_at_end(const struct unit *u)
{
	for (unsigned i = BITS_WORDS; i-- > 0;)
		if (u->used.w[i])
			return (BITS_WORDS - 1 - i) * 64 + (unsigned)__builtin_clzll(u->used.w[i]);
	return UNIT_PAGES;
}

/* Whether the pages behind a unit's end can be had: those at the start of a partly used one, or
 * whole free units, which are taken. */
static bool take_next(struct filler *f, struct filler_zone *z, size_t index, size_t pages)
{
	struct unit *u = unit_at(z, index);

	if (index < z->top && is_packed(u))
		return pages <= bits_next(&u->used, 0, true);
	return stock_take_at(f, z, index, (pages + UNIT_PAGES - 1) / UNIT_PAGES);
}

struct filler_zone *seam_find(struct filler *f, size_t pages, size_t *first)
{
	for (unsigned i = 0; i < SEAMS; i++) {
		struct unit *u = f->seams.at[i];

		if (!u || !is_packed(u))
			continue;
		struct filler_zone *z = zone_of_unit(f, u);
		size_t room = free_at_end(u), next = index_of(z, u) + 1;
		if (!room || room >= pages || room == UNIT_PAGES ||
		    !take_next(f, z, next, pages - room))
			continue;
		f->seams.at[i] = NULL;
		*first = next * UNIT_PAGES - room;
		return z;
	}
	return NULL;
}
