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
	UNIT_PART,   /* holds extents, and has free pages or had them: the filler packs into it */
	UNIT_WHOLE,  /* filled by an extent of at least a unit */
	UNIT_BUSY,   /* kept, and on its way back to the kernel: nobody may take it */
};

struct unit {
	struct bits used;    /* pages that belong to an extent */
	struct bits touched; /* pages that may read other than zero */
	struct unit *prev, *next; /* in the list of its class: free run or packing candidate */
	uint32_t run;      /* UNIT_CLEAN, UNIT_KEPT: units in the run; in its first and last one */
	uint16_t used_count; /* bits in `used` */
	uint16_t longest;    /* longest run of pages that are not used; UNIT_PART only */
	uint8_t state;
	bool moved; /* mremap came here: the VMA is not the zone's (kernel.h, move) */
};

#endif
