/*
 * region.h: blocks allocated one behind the other on whole units, and freed all together.
 *
 * Sizes are in bytes.  Lock-free, so a fork() at any moment leaves a region that the child can use;
 * but region_destroy() is for one thread, when no other uses the region any more.
 */
#ifndef UNSPLIT_HEAP_REGION_H
#define UNSPLIT_HEAP_REGION_H

#include <stddef.h>

#include "site/plan.h"

struct unsplit_region;

/* On memory as `plan` says, which must stay; NULL is as usual.  NULL if there is no memory; errno
 * is set. */
struct unsplit_region *region_create(const struct plan *plan);
/* align is a power of two, at most a unit.  NULL if there is no memory; errno is set. */
void *region_alloc(struct unsplit_region *r, size_t bytes, size_t align);
void region_destroy(struct unsplit_region *r);

#endif
