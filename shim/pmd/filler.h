/*
 * filler.h: page-granular extents, packed into units.
 *
 * Serves requests above mimalloc's share.  An extent of less than a unit is packed into the unit
 * whose longest free run is the shortest that fits, huge units before broken ones; a larger one
 * takes neighbouring whole units, and what its last unit has left over is offered to smaller ones.
 * Mechanism only: when memory goes back to the kernel is decided in release/.
 *
 * Vocabulary
 *   page    a grain, 1/512 of a unit (4 KiB on x86-64)
 *   extent  a run of pages handed to one client; known by its address alone
 *   kept    a wholly free unit that is still backed;  clean  one that is not
 *   slack   pages of a partly used unit that are backed but not used
 *   top     units of a zone from here on were never used
 *
 * Parts
 *   stock.c     zones, addresses, and free units
 *   pack.c      partly used units: which has room, which has most slack
 *   seam.c      places across the border of two units
 *   filler.c    extents: taking, freeing, resizing, moving
 *   giveback.c  returning, demoting and healing units: the calls that release/ makes
 *   check.c     the invariants
 *
 * One lock guards everything but the sizes of extents, which only their owner writes.  No system
 * call is made under it, except to make address space usable (rare).  All functions are thread-safe
 * and call no malloc.  Those of giveback.c must be called by one thread at a time (release/ has a
 * token for it).
 */
#ifndef UNSPLIT_PMD_FILLER_H
#define UNSPLIT_PMD_FILLER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmd/heal.h"
#include "pmd/runs.h"
#include "pmd/seam.h"
#include "pmd/unit.h"
#include "pmd/zone.h"

enum { FILLER_ZONES = 16 };

/*
 * Which units to fill when demand returns?  Free units would leave the demoted ones nearly empty
 * beside them, on base pages for good; demoted ones cost a collapse each when they are full again.
 * So demoted ones are filled until what lies in sparse ones is not more than this share of all that
 * is used, and free ones after that: coverage stays above 95 percent for as few collapses as
 * possible.
 */
enum { FILLER_SPARSE_PERCENT = 3 };

struct filler_zone {
	struct zone zone;
	struct prefix units; /* struct unit, one a unit */
	struct prefix sizes; /* uint32_t, one a page: at an extent's first page its pages */
	size_t top;
};

/* Partly used units: by kind and the longest run of free pages; and by slack, in steps of 8 pages,
 * with a list of their own for those that the kernel refused to take apart.  Dense units are
 * broken, but so full that healing them will pay; sparse ones are not. */
enum { PACK_HUGE, PACK_DENSE, PACK_SPARSE, PACK_KINDS };
enum { PACK_DENSE_PAGES = UNIT_PAGES / 2 };
enum { PACK_FITS = UNIT_PAGES + 1, PACK_PINNED = UNIT_PAGES / 8 + 1, PACK_SLACKS };

struct pack {
	struct unit *fit[PACK_KINDS][PACK_FITS];
	uint64_t fit_filled[PACK_KINDS][PACK_FITS / 64 + 1]; /* lists that are not empty */
	struct unit *slack[PACK_SLACKS];
	uint64_t slack_filled[PACK_SLACKS / 64 + 1];
	size_t units, used_pages;
	size_t slack_pages;  /* in units that may be demoted */
	size_t sparse_pages; /* used, in sparse units */
};

/* What a filler is for.  What is not `zone` decides nothing here: it is for release/. */
struct filler_policy {
	struct zone_policy zone;
	unsigned release; /* enum plan_release */
	bool heal;
};

struct filler {
	struct filler_policy policy;
	pthread_mutex_t lock;
	struct filler_zone zones[FILLER_ZONES];
	size_t zone_count; /* grows only; zones below it never change place */
	struct pack pack;
	struct seams seams;
	struct runs kept, clean;
	size_t whole_units;
	unsigned sparse_percent; /* see FILLER_SPARSE_PERCENT */
	size_t demoted_units;    /* used or free, whose advice is to stay on base pages */
};

/* What a request may ask for beyond its size. */
struct filler_request {
	size_t pages;  /* at least 1 */
	size_t align;  /* pages, a power of two; may be larger than a unit */
	size_t growth; /* units to leave free behind a large extent, so that it can grow */
};

/* *f must be all zero.  Only what differs is written: a static one costs no page faults for what it
 * does not come to use. */
void filler_init(struct filler *f, const struct filler_policy *policy);
/* Reserve one more zone of up to `bytes`, at `hint` if that is free.  Returns 0 or ENOMEM.  Callers
 * take turns. */
int filler_add_zone(struct filler *f, void *hint, size_t bytes, size_t least);

/* An extent, or NULL if there is no room.  *zero says whether it reads as zero. */
void *filler_alloc(struct filler *f, const struct filler_request *request, bool *zero);
/* Free an extent.  Returns its pages. */
size_t filler_free(struct filler *f, void *extent);
/* Make an extent `pages` long where it is; false if that cannot be.  New pages are not zeroed. */
bool filler_resize(struct filler *f, void *extent, size_t pages);
/* Move the memory of the whole units of `from` to `to`, an extent at least as long, both
 * unit-aligned, without copying.  Returns the bytes moved; 0 if the kernel refused; SIZE_MAX if it
 * also took `to` away, which must not be touched or freed then. */
size_t filler_move(struct filler *f, void *from, void *to);

/* The zone that holds p, or NULL.  Lock-free. */
struct filler_zone *filler_zone_of(struct filler *f, const void *p);
/* The pages of the extent that starts at p; 0 if none does.  p must lie in a zone.  Lock-free. */
size_t filler_size(struct filler *f, const void *p);
/* Hide a live extent: it counts as not there until shown again, so that a second free of one that
 * lies in a thread's cache is noticed.  To be called by its owner.  Lock-free. */
void filler_hide(struct filler *f, const void *extent);
void filler_show(struct filler *f, const void *extent);

/* Return up to `most` kept units, neighbours in one call, the longest run first.  Returns how many
 * went; fewer than asked means that no more are kept, or that the kernel refused. */
size_t filler_return(struct filler *f, size_t most);
size_t filler_kept(struct filler *f);

/* Pages of slack that could be given back, and the most that one unit has (rounded down to 8).
 * Lock-free, and so only about right. */
size_t filler_slack(const struct filler *f);
size_t filler_worst_slack(const struct filler *f);
/* Give back the free pages of the unit with the most slack, if that is at least `least` pages; a
 * huge page is split for it, on purpose (K1).  Returns the pages given back; 0 if there is no such
 * unit, or if the kernel refused and the unit was left as it was. */
size_t filler_demote(struct filler *f, size_t least);

/* A unit that the kernel refused to take apart does not count as slack: let all of them count
 * again. */
void filler_unpin(struct filler *f);

/* Pages that the unit at p lacks, if it was demoted and may be healed now; else SIZE_MAX. */
size_t filler_lack(struct filler *f, const void *p);
/* Heal that unit now, if memory may grow by what it lacks (`growth` pages). */
enum heal_result filler_heal_at(struct filler *f, const void *p, size_t growth);
/* Look on, from where the walk stands, for a unit that is not one huge page though it is full
 * enough, and make it one.  Looks at about limits->look_at units, heals one at most, and also
 * brings up to date what is noted of each unit. */
enum heal_result filler_heal(struct filler *f, struct heal_walk *walk,
                             const struct heal_limits *limits);

/* The invariants; takes the lock. */
bool filler_consistent(struct filler *f);

#endif
