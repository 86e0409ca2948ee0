/*
 * learn.h: what the memory of each call site is used for, measured on base pages.
 *
 * For `unsplit learn` (option `learn`).  A block of 64 KiB or more, from malloc or from a private
 * anonymous mmap, gets a record when it is born.  When it ends, or the process does, the kernel is
 * asked which of its pages are there.  They are those that were ever touched, because a block is
 * born without any page, and the process has no huge ones (options.c).  What the program itself
 * gave back meanwhile (MADV_DONTNEED) is not counted.
 *
 * Vocabulary
 *   room   of the would-be units that a block was touched in, the block's bytes: what huge pages
 *          would have charged for it.  Units start where the block does
 *   touched  the bytes of the pages that are there
 *
 * Tables of fixed size, no lock, no malloc: everything here may be called wherever malloc may.
 */
#ifndef UNSPLIT_SITE_LEARN_H
#define UNSPLIT_SITE_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rule_frame;
struct site;

/* Smaller blocks are not recorded.  (They are also what finds a record: learn.c.) */
enum { LEARN_LEAST = 64 << 10 };

/* Set once, by learn_init(). */
extern bool learn_active;

/* What was seen of one site. */
struct learned {
	uint64_t count, bytes;       /* blocks, and their sizes added up */
	uint64_t live, peak;         /* bytes at once: now, and at most */
	uint64_t lifetime;           /* of all blocks together, nanoseconds */
	uint64_t room, touched;      /* bytes, of all blocks together */
	const char *caller, *module; /* who asks: as in rules.h; NULL as long as it is not known */
};

/* If option `learn` asks for it, and once there is a table of sites. */
void learn_init(void);
/* A site was seen for the first time, and `caller` (may be NULL) is who asks. */
void learn_caller(const struct site *site, const struct rule_frame *caller);

/* The block at p was just handed out, for the request that this thread looked up last (site.h). */
void learn_born(const void *p, size_t bytes);
/* Take the pages of a block away before it is used.  False if they could not be taken. */
bool learn_fresh(void *p, size_t bytes);
/* The block at `from` is now at `to`, which may be the same, and has so many bytes. */
void learn_moved(const void *from, const void *to, size_t bytes);
/* The block at p is about to be freed. */
void learn_freed(const void *p);
/* A range of mappings is about to go. */
void learn_unmapped(const void *addr, size_t bytes);

/* What was seen of each site until now, as if all blocks ended now: sums[n] is that of site_at(n).
 * `sums` has SITES_MOST, all zero; changes nothing else. */
void learn_sum(struct learned *sums);
/* Nanoseconds since learn_init(), or since this process was forked. */
uint64_t learn_run(void);
/* Whether this process was forked since: it knows its own blocks only. */
bool learn_in_child(void);

/* Between unit tests: forget all. */
void learn_reset(void);

#endif
