/*
 * surgery.h: taking one unit apart on purpose, and making it whole again.
 *
 * The order of calls is what matters (K1, K5).  Used by the filler and by the ledger, by one
 * thread at a time and off all locks; nobody may take or return the unit meanwhile.
 */
#ifndef UNSPLIT_PMD_SURGERY_H
#define UNSPLIT_PMD_SURGERY_H

#include <stdbool.h>

#include "pmd/bits.h"
#include "pmd/zone.h"

/* Each demoted unit may cost two VMAs; neighbours share them.  Keep well below the default
 * max_map_count of 65530, which the program needs too (K3). */
enum { SURGERY_MOST_DEMOTED = 8192 };

/* Advise a unit to stay on base pages and split what huge page it is.  False, and nothing is
 * changed, if that cannot be: locked memory, pages shared with a forked child (their folio would
 * not be split, and giving up part of it would leave it partially mapped). */
bool surgery_split(struct zone *z, void *unit);
/* Whether a demoted unit still consists of base pages.  It does not if the kernel refused to advise
 * it again after a failed healing, and khugepaged came by. */
bool surgery_is_split(void *unit);
/* Give back pages of a split unit.  Those that the kernel refused (some may be locked) are taken
 * out of `pages`.  False if it refused all. */
bool surgery_give_pages(void *unit, struct bits *pages);
/* Make a unit one huge page, contents kept.  `demoted`: it is advised to stay on base pages; it
 * gets the zone's advice back, and loses it again if the kernel refuses. */
bool surgery_collapse(struct zone *z, void *unit, bool demoted);

#endif
