#include "pmd/zone.h"

#include <errno.h>
#include <pthread.h>

#include "kernel/kernel.h"
#include "kernel/say.h"
#include "pmd/atomic.h"
#include "report/stats.h"

/* Guards growth of prefixes and the list of zones.  Taken last: see heap/thread.h for the order. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct zone *first;
static bool proven;
static int per_node = -1; /* not decided yet */
static bool some_huge;    /* though nothing is proven */

static size_t round_up(size_t n, size_t step)
{
	return (n + step - 1) & ~(step - 1);
}

/* Give back what of [base, base+bytes) lies outside [start, end). */
static void trim(char *base, size_t bytes, char *start, char *end)
{
	if (start > base)
		kernel->unreserve(base, (size_t)(start - base));
	if (base + bytes > end)
		kernel->unreserve(end, (size_t)(base + bytes - end));
}

int prefix_reserve(struct prefix *p, void *hint, size_t bytes, size_t align)
{
	char *base = kernel->reserve(hint, bytes);

	if (!base)
		return ENOMEM;
	if ((uintptr_t)base & (align - 1)) {
		kernel->unreserve(base, bytes);
		base = kernel->reserve(NULL, bytes + align);
		if (!base)
			return ENOMEM;
		char *start = (char *)round_up((uintptr_t)base, align);
		trim(base, bytes + align, start, start + bytes);
		base = start;
	}
	p->base = base;
	p->bytes = bytes;
	/* What is aligned to units holds the program's data.  Our own notes grow by little, so that
	 * those of a small program get no huge page under enabled=always. */
	p->step = align >= machine.unit ? machine.unit : 16 * machine.page;
	at_publish(&p->ready, 0);
	return 0;
}

void prefix_release(struct prefix *p)
{
	kernel->unreserve(p->base, p->bytes);
	p->base = NULL;
	p->bytes = 0;
}

/* How far to grow when `bytes` are needed: an eighth more than now, so that growth stays rare, but
 * little at first, because under strict overcommit every usable byte is charged. */
static size_t growth(const struct prefix *p, size_t ready, size_t bytes)
{
	size_t step = ready / 8 > (1ul << 30) ? 1ul << 30 : ready / 8;
	size_t goal = ready + step > bytes ? ready + step : bytes;

	goal = round_up(goal, p->step);
	return goal < p->bytes ? goal : p->bytes;
}

int prefix_grow(struct prefix *p, size_t bytes)
{
	int error = 0;

	if (bytes > p->bytes)
		return ENOMEM;
	pthread_mutex_lock(&lock);
	size_t ready = at_acquire(&p->ready);
	if (bytes > ready) {
		size_t goal = growth(p, ready, bytes);

		error = kernel->make_usable(p->base + ready, goal - ready);
		if (error && goal > round_up(bytes, machine.page)) {
			goal = round_up(bytes, machine.page);
			error = kernel->make_usable(p->base + ready, goal - ready);
		}
		if (!error)
			at_publish(&p->ready, goal);
	}
	pthread_mutex_unlock(&lock);
	return error ? ENOMEM : 0;
}

static void advise_huge(struct zone *z)
{
	if (kernel->advise_huge(z->data.base, z->data.bytes))
		stat_add(advice_failures, 1);
	else
		at_publish(&z->huge, true);
}

/* Under enabled=always an unadvised zone would get huge pages at once, and a small program would
 * grow by megabytes. */
static void advise_base(struct zone *z)
{
	if (kernel->advise_base(z->data.base, z->data.bytes))
		stat_add(advice_failures, 1);
}

size_t zone_share(size_t bytes)
{
	size_t step = (size_t)32 << 20, limit = kernel->address_limit();

	if (limit == SIZE_MAX)
		return bytes;
	size_t share = limit / 8 & ~(step - 1);
	if (share < step)
		share = step;
	return share < bytes ? share : bytes;
}

bool zones_per_node(void)
{
	int known = at_get(&per_node);

	if (known < 0) {
		known = kernel->nodes() > 1 && kernel->address_limit() == SIZE_MAX;
		at_set(&per_node, known);
	}
	return known;
}

int zone_open(struct zone *z, const struct zone_policy *policy, void *hint, size_t bytes,
              size_t least, size_t align)
{
	while (prefix_reserve(&z->data, hint, bytes, align)) {
		bytes = bytes / 2 & ~(machine.unit - 1);
		if (bytes < least)
			return ENOMEM;
	}
	z->policy = *policy;
	z->units = bytes >> machine.unit_shift;
	at_publish(&z->huge, false);
	return 0;
}

/* Should the kernel refuse, memory comes from where it comes. */
static void place(struct zone *z, void *addr, size_t bytes)
{
	const struct placement *where = &z->policy.placement;

	if (where->mode != PLACE_ANYWHERE && kernel->place(addr, bytes, where))
		stat_add(place_failures, 1);
}

bool zone_wants_huge(const struct zone_policy *policy)
{
	return policy->pages == ZONE_HUGE ||
	       (policy->pages == ZONE_WHEN_PROVEN && at_acquire(&proven));
}

bool zones_want_huge(void)
{
	return at_get(&proven) || at_get(&some_huge);
}

void zone_join(struct zone *z)
{
	stat_add(zones, 1);
	place(z, z->data.base, z->data.bytes);
	kernel->name(z->data.base, z->data.bytes, z->policy.name);
	pthread_mutex_lock(&lock);
	if (z->policy.pages == ZONE_HUGE)
		at_set(&some_huge, true);
	if (zone_wants_huge(&z->policy))
		advise_huge(z);
	else
		advise_base(z);
	z->next = at_acquire(&first);
	at_publish(&first, z);
	pthread_mutex_unlock(&lock);
}

void zones_prove(void)
{
	pthread_mutex_lock(&lock);
	if (!at_swap(&proven, true))
		for (struct zone *z = at_acquire(&first); z; z = z->next)
			if (zone_wants_huge(&z->policy) && !at_acquire(&z->huge))
				advise_huge(z);
	pthread_mutex_unlock(&lock);
}

bool zones_proven(void)
{
	return at_get(&proven);
}

/* What remap() made anew lost its place and its name, too. */
void zone_readvise(struct zone *z, void *addr, size_t bytes)
{
	int error = at_acquire(&z->huge) ? kernel->advise_huge(addr, bytes)
	                                 : kernel->advise_base(addr, bytes);

	if (error)
		stat_add(advice_failures, 1);
	place(z, addr, bytes);
	kernel->name(addr, bytes, z->policy.name);
}

int zone_return(struct zone *z, void *addr, size_t bytes, bool afresh)
{
	int error = afresh ? kernel->remap(addr, bytes) : kernel->give_back(addr, bytes);

	if (!error && afresh)
		zone_readvise(z, addr, bytes);
	return error;
}

size_t zones_resident(void)
{
	size_t sum = 0;

	for (struct zone *z = at_acquire(&first); z; z = z->next) {
		size_t n = kernel->resident(z->data.base, at_acquire(&z->data.ready));

		if (n == SIZE_MAX)
			return SIZE_MAX;
		sum += n;
	}
	return sum;
}

struct zone *zones_first(void)
{
	return at_acquire(&first);
}

void zones_reset(void)
{
	at_publish(&first, NULL);
	at_publish(&proven, false);
	at_set(&per_node, -1);
	at_set(&some_huge, false);
}
