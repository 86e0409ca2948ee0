/*
 * seam.h: where an extent may lie across the border of two units (part of the filler).
 *
 * Extents of a third of a unit, or of a unit and a bit, would leave a third of the memory unused if
 * each had to begin in a unit where it fits.  So the places are remembered where a unit has free
 * pages at its end and the next one is free or has free pages at its start.  A few of them: what is
 * remembered may be outdated and is checked when used.
 *
 * All functions are called with the filler's lock held.
 */
#ifndef UNSPLIT_PMD_SEAM_H
#define UNSPLIT_PMD_SEAM_H

#include "pmd/unit.h"

enum {
	SEAMS = 16,
	SEAM_LEAST = UNIT_PAGES / 8, /* pages: shorter extents fill what is left over anyway */
	SEAM_MOST = 8 * UNIT_PAGES,  /* longer ones waste little by beginning with a unit */
};

struct seams {
	struct unit *at[SEAMS]; /* units with free pages at their end */
	unsigned next;
};

struct filler;
struct filler_zone;

/* Remember that u may have free pages at its end. */
void seam_note(struct seams *s, struct unit *u);
/* Find `pages` free pages across a border.  Free units among them are taken from the stock, and
 * are in no state yet.  Returns the zone and sets *first to the page of it; NULL if there is no
 * such place. */
struct filler_zone *seam_find(struct filler *f, size_t pages, size_t *first);

#endif
