#include "heap/region.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "heap/heap.h"
#include "kernel/kernel.h"
#include "pmd/atomic.h"

/* Whole units, of which a growing prefix is handed out.  Lies at their start. */
struct chunk {
	struct chunk *below; /* the one before it; set before others see it */
	uintptr_t end;
	uintptr_t next; /* from here on it is free; grows only, atomic */
};

/* Lies in its first chunk, right behind that chunk's own head. */
struct unsplit_region {
	struct chunk *top; /* the one that is allocated from, atomic */
	const struct plan *plan;
};

static struct chunk *open_chunk(size_t bytes, const struct plan *plan)
{
	size_t whole = (sizeof(struct chunk) + bytes + machine.unit - 1) & -machine.unit;
	struct chunk *c = heap_planned(whole, machine.unit, false, plan, NULL);

	if (!c)
		return NULL;
	c->below = NULL;
	c->end = (uintptr_t)c + whole;
	c->next = (uintptr_t)(c + 1);
	return c;
}

/* 0 if the chunk has not so much left. */
static uintptr_t carve(struct chunk *c, size_t bytes, size_t align)
{
	uintptr_t next = at_get(&c->next), start;

	do {
		start = (next + align - 1) & -(uintptr_t)align;
		if (start > c->end || bytes > c->end - start)
			return 0;
	} while (!at_cas(&c->next, &next, start + bytes));
	return start;
}

struct unsplit_region *region_create(const struct plan *plan)
{
	struct chunk *c = open_chunk(0, plan);

	if (!c)
		return NULL;
	struct unsplit_region *r = (struct unsplit_region *)c->next;
	c->next = (uintptr_t)(r + 1);
	r->top = c;
	r->plan = plan;
	return r;
}

/* Put a new chunk on top, with room for a block.  Of threads that do so at once one wins; the
 * others give theirs back and look at the winner's. */
static bool grow(struct unsplit_region *r, struct chunk *top, size_t bytes, size_t align)
{
	struct chunk *c = open_chunk(bytes + align, r->plan);

	if (!c)
		return false;
	c->below = top;
	if (!at_cas(&r->top, &top, c))
		heap_free(c);
	return true;
}

void *region_alloc(struct unsplit_region *r, size_t bytes, size_t align)
{
	/* A block of no bytes has an address of its own, too. */
	size_t n = bytes ? bytes : 1;

	if (n > PTRDIFF_MAX - 2 * machine.unit - sizeof(struct chunk)) {
		errno = ENOMEM;
		return NULL;
	}
	for (;;) {
		struct chunk *top = at_acquire(&r->top);
		uintptr_t p = carve(top, n, align);

		if (p)
			return (void *)p;
		if (!grow(r, top, n, align))
			return NULL;
	}
}

void region_destroy(struct unsplit_region *r)
{
	/* The region lies in the last of them. */
	for (struct chunk *c = at_acquire(&r->top), *below; c; c = below) {
		below = c->below;
		heap_free(c);
	}
}
