/*
 * plan.c: the part of the public C API that has to do with plans.
 *
 * A program's struct is made one of our own (site/plans.h), by value: of two that say the same, one
 * is kept.  What the program gets back is a struct of its own kind, in a table beside that of the
 * plans, so that it can read it and we know it again by its address.
 */
#include <errno.h>
#include <string.h>

#include "abi/export.h"
#include "heap/heap.h"
#include "heap/region.h"
#include "heap/thread.h"
#include "kernel/kernel.h"
#include "kernel/nodes.h"
#include "kernel/say.h"
#include "pmd/atomic.h"
#include "site/plans.h"
#include "site/rules.h"
#include "site/site.h"
#include "table.h"
#include "unsplit/unsplit.h"

_Static_assert((int)UNSPLIT_PAGES_HUGE == PAGES_HUGE && (int)UNSPLIT_PAGES_BASE == PAGES_BASE &&
                       (int)UNSPLIT_RELEASE_KEEP == RELEASE_AS_KEEP &&
                       (int)UNSPLIT_RELEASE_TIGHT == RELEASE_AS_TIGHT &&
                       (int)UNSPLIT_HEAL_ON == SWITCH_ON && (int)UNSPLIT_HEAL_OFF == SWITCH_OFF &&
                       (int)UNSPLIT_NODE_LOCAL == NODE_LOCAL &&
                       (int)UNSPLIT_NODE_PREFERRED == NODE_PREFERRED,
               "the header's numbers are ours");

/* What the program sees of plans[i]. */
static TABLE struct unsplit_plan shown[PLANS_MOST];

/* ---- from the program's struct to ours ---- */

/* Read what the program knew when it was compiled; false if it asks for more than we know. */
static bool read_known(const struct unsplit_plan *from, struct unsplit_plan *to)
{
	const size_t least = offsetof(struct unsplit_plan, release); /* the first version's */
	const char *bytes = (const char *)from;

	memset(to, 0, sizeof(*to));
	if (from->size < least)
		return false;
	memcpy(to, from, from->size < sizeof(*to) ? from->size : sizeof(*to));
	/* A later version of the struct will do as long as it asks for nothing new. */
	for (size_t i = sizeof(*to); i < from->size; i++)
		if (bytes[i])
			return false;
	return true;
}

static bool is_accepted(const struct unsplit_plan *p)
{
	bool names_node = p->place == UNSPLIT_NODE_ONLY || p->place == UNSPLIT_NODE_PREFERRED;

	return p->pages <= UNSPLIT_PAGES_BASE && p->populate <= 1 &&
	       p->release <= UNSPLIT_RELEASE_TIGHT && p->heal <= UNSPLIT_HEAL_OFF &&
	       p->place <= UNSPLIT_NODE_PREFERRED && p->node < (names_node ? kernel->nodes() : 1);
}

static bool convert(const struct unsplit_plan *from, struct plan *to)
{
	struct unsplit_plan known;

	if (!read_known(from, &known) || !is_accepted(&known))
		return false;
	*to = (struct plan){
		.pages = (uint8_t)known.pages,
		.populate = known.populate ? SWITCH_ON : SWITCH_DEFAULT,
		.release = (uint8_t)known.release,
		.heal = (uint8_t)known.heal,
		.node_mode = (uint8_t)known.place,
		.node = (uint16_t)known.node,
	};
	return true;
}

/* ---- and back ---- */

static const struct unsplit_plan *show(const struct kept_plan *kept)
{
	struct unsplit_plan *s = &shown[kept - plans];
	const struct plan *plan = &kept->plan;

	/* Whoever else writes them writes the same. */
	at_set(&s->pages, (uint32_t)plan->pages);
	at_set(&s->populate, plan->populate == SWITCH_ON);
	at_set(&s->release, plan->release);
	at_set(&s->heal, plan->heal);
	at_set(&s->place, plan->node_mode);
	at_set(&s->node, plan->node);
	at_publish(&s->size, sizeof(*s));
	return s;
}

static bool is_shown(const struct unsplit_plan *p)
{
	return (uintptr_t)p - (uintptr_t)shown < sizeof(shown);
}

/* ---- keeping plans ---- */

/* What is to be kept. */
struct wish {
	const char *name;
	struct plan plan;
};

/* Inside a call of the heap. */
static size_t keep(void *wish)
{
	const struct wish *w = wish;

	return (size_t)plans_keep(w->name, &w->plan);
}

/* NULL if there is no room. */
static const struct kept_plan *keep_plan(struct wish *wish)
{
	/* Opens a library, which allocates. */
	if (wish->plan.node_mode != NODE_DEFAULT)
		nodes_open();
	return (const struct kept_plan *)heap_run(keep, wish);
}

static void *fail(int error)
{
	errno = error;
	return NULL;
}

/* Our plan for the program's.  False, and errno is set, if there is none. */
static bool resolve(const struct unsplit_plan *from, const struct plan **plan)
{
	struct wish wish = {.name = ""};

	*plan = NULL;
	if (!from)
		return true;
	if (is_shown(from)) {
		*plan = &plans[from - shown].plan;
		return true;
	}
	if (!convert(from, &wish.plan))
		return fail(EINVAL);
	int saved_errno = errno;
	const struct kept_plan *kept = keep_plan(&wish);
	if (!kept)
		return fail(ENOMEM);
	errno = saved_errno;
	*plan = &kept->plan;
	return true;
}

/* ---- names ---- */

static bool is_name(const char *name)
{
	return name && *name && strlen(name) < PLANS_NAME_SIZE;
}

static size_t nothing(void *unused)
{
	(void)unused;
	return 0;
}

/* What the rule file says of that name. */
static bool find_in_rules(struct wish *wish)
{
	heap_run(nothing, NULL); /* the options are read when the heap is made ready */
	const struct rule *rule = rules_named(wish->name);

	if (!rule)
		return false;
	wish->plan = rule->plan;
	wish->plan.thp = THP_DEFAULT;
	return true;
}

static const struct unsplit_plan *of_rules(struct wish *wish)
{
	const struct kept_plan *kept = keep_plan(wish);

	return kept ? show(kept) : fail(ENOMEM);
}

static size_t make(void *kept)
{
	return plans_make(kept);
}

static const struct unsplit_plan *of_program(struct wish *wish)
{
	const struct kept_plan *kept = plans_made(wish->name);

	if (kept && memcmp(&kept->plan, &wish->plan, sizeof(wish->plan)) != 0)
		return fail(EEXIST);
	kept = keep_plan(wish);
	if (!kept)
		return fail(ENOMEM);
	return heap_run(make, (void *)kept) ? show(kept) : fail(EEXIST);
}

EXPORT const struct unsplit_plan *unsplit_plan_create(const char *name,
                                                      const struct unsplit_plan *settings)
{
	struct wish wish = {.name = name};
	int saved_errno = errno;

	if (!is_name(name) || !settings || !convert(settings, &wish.plan))
		return fail(EINVAL);
	const struct unsplit_plan *made =
		find_in_rules(&wish) ? of_rules(&wish) : of_program(&wish);
	if (made)
		errno = saved_errno;
	return made;
}

EXPORT const struct unsplit_plan *unsplit_plan_find(const char *name)
{
	struct wish wish = {.name = name};
	int saved_errno = errno;

	if (!name)
		return fail(EINVAL);
	if (is_name(name) && find_in_rules(&wish)) {
		const struct unsplit_plan *found = of_rules(&wish);

		if (found)
			errno = saved_errno;
		return found;
	}
	const struct kept_plan *made = plans_made(name);
	return made ? show(made) : fail(ENOENT);
}

/* ---- rules ---- */

EXPORT int unsplit_load_rules(const char *path, char *mistake, size_t size)
{
	int saved_errno = errno;

	if (mistake && size)
		*mistake = '\0';
	heap_run(nothing, NULL);
	int error = site_load_rules(path, mistake, size);
	if (!error && site_small)
		threads_close_fast_path();
	errno = saved_errno;
	return error;
}

/* ---- memory ---- */

EXPORT void *unsplit_malloc(size_t bytes, const struct unsplit_plan *plan)
{
	const struct plan *p;

	return resolve(plan, &p) ? heap_planned(bytes, 1, false, p, CALLER) : NULL;
}

EXPORT void *unsplit_calloc(size_t count, size_t bytes, const struct unsplit_plan *plan)
{
	const struct plan *p;
	size_t n;

	if (__builtin_mul_overflow(count, bytes, &n))
		return fail(ENOMEM);
	return resolve(plan, &p) ? heap_planned(n, 1, true, p, CALLER) : NULL;
}

EXPORT void *unsplit_aligned_alloc(size_t align, size_t bytes, const struct unsplit_plan *plan)
{
	const struct plan *p;

	if (!align || align & (align - 1))
		return fail(EINVAL);
	return resolve(plan, &p) ? heap_planned(bytes, align, false, p, CALLER) : NULL;
}

EXPORT struct unsplit_region *unsplit_region_create(void)
{
	static const struct plan huge = {.pages = PAGES_HUGE};

	return region_create(&huge);
}

EXPORT struct unsplit_region *unsplit_region_create_planned(const struct unsplit_plan *plan)
{
	const struct plan *p;

	return resolve(plan, &p) ? region_create(p) : NULL;
}

EXPORT void *unsplit_region_alloc(struct unsplit_region *region, size_t bytes, size_t align)
{
	if (!align)
		align = 16;
	if (align & (align - 1) || align > machine.unit)
		return fail(EINVAL);
	return region_alloc(region, bytes, align);
}

EXPORT void unsplit_region_destroy(struct unsplit_region *region)
{
	if (region)
		region_destroy(region);
}
