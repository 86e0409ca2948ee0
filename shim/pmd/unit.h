/*
 * unit.h: what we know of one unit of the large zone.
 *
 * Every field is guarded by the filler's lock.
 */
#ifndef UNSPLIT_PMD_UNIT_H
#define UNSPLIT_PMD_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/bits.h"

enum unit_state {
	UNIT_UNUSED, /* above the zone's top: never handed out */
	UNIT_CLEAN,  /* free and without memory: reads as zero */
	UNIT_KEPT,   /* free, but still backed by memory */
	UNIT_PART,   /* holds extents of less than a unit, or the end of a larger one */
	UNIT_WHOLE,  /* filled by an extent of at least a unit */
	UNIT_BUSY,   /* kept, and on its way back to the kernel: nobody may take it */
};

/* The lists that a unit can be in.  A free run uses BY_FIT alone. */
enum unit_list { BY_FIT, BY_SLACK, UNIT_LISTS };

struct unit {
	struct bits used;    /* pages that belong to an extent */
	struct bits touched; /* pages that may read other than zero */
	struct unit *prev[UNIT_LISTS], *next[UNIT_LISTS];
	uint32_t run; /* UNIT_CLEAN, UNIT_KEPT: units in the run; in its first and last one */
	uint16_t used_count; /* bits in `used` */
	uint16_t longest;    /* longest run of pages that are not used; UNIT_PART only */
	uint16_t slack;      /* backed pages that are not used; UNIT_PART only */
	uint8_t state;
	bool moved;   /* mremap came here: the VMA is not the zone's (kernel.h, move) */
	bool broken;  /* not one huge page: what is backed is what was touched */
	bool demoted; /* broken by us: advised to stay on base pages, and no large folio is in it */
	bool busy;   /* UNIT_PART, being demoted: nobody may take pages of it, freeing is allowed */
	bool pinned; /* the kernel would not split it (locked, or shared with a child): leave it */
};

#endif
