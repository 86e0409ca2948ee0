/*
 * sites.h: the sites that were seen.
 *
 * A table of fixed size that only grows.  Readers and writers take no lock and never wait for each
 * other for long: a thread may be stopped anywhere, and fork() may happen at any time.
 */
#ifndef UNSPLIT_SITE_SITES_H
#define UNSPLIT_SITE_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "site/decided.h"
#include "site/frames.h"
#include "site/modules.h"
#include "site/rules.h"

enum { SITES_MOST = 16384 };

/* A frame of a site: 16 bits of which module (an index) above 48 bits of offset. */
typedef uint64_t site_frame;

struct site {
	uint64_t hash;                  /* never 0 */
	struct decided decided;         /* by the rules that it was last looked up under */
	uint64_t count, bytes;          /* requests; of small ones an estimate from samples */
	const struct rule *rule;        /* that was chosen last; NULL if none ever */
	unsigned kinds;                 /* enum site_kind, of all requests together */
	uint16_t frame_count;           /* at least 1 */
	site_frame frames[FRAMES_MOST]; /* innermost first */
} __attribute__((aligned(64)));

/* For who reads them from outside (report/live.h): the table, which begins with the first site and
 * is NULL before sites_init(), and how many sites were handed out, which may exceed SITES_MOST. */
extern struct site_table *sites_table;
extern size_t sites_used;

/* Reserve the table: once.  Returns 0 or ENOMEM. */
int sites_init(void);

site_frame site_frame_make(const struct place *place);
struct module *site_frame_module(site_frame frame);
uint64_t site_frame_offset(site_frame frame);
/* The identity of a stack: its upper 48 bits are never all 0. */
uint64_t sites_hash(const site_frame *frames, size_t count);

/* NULL if there is none of that hash (or another thread is just adding it). */
struct site *sites_find(uint64_t hash);
/* The site with the hash of `made`: a copy of that, or the one that was there before.  NULL if
 * there is no room left (or another thread is adding it). */
struct site *sites_add(const struct site *made);

/* Write a number in hexadecimal, with at least so many digits. */
void site_hex(char *buf, size_t size, uint64_t number, unsigned digits);

/* Its place in the table: less than SITES_MOST. */
size_t site_number(const struct site *site);
const struct site *site_at(size_t number);
/* How many there are. */
size_t sites_count(void);
/* From the one with most bytes to the one with least: that which follows `after` (NULL: the
 * first); NULL at the end.  Exact as long as nobody counts meanwhile. */
const struct site *sites_next(const struct site *after);

/* Between unit tests: forget all. */
void sites_reset(void);

#endif
