#include "site/plans.h"

#include <pthread.h>
#include <string.h>

#include "pmd/atomic.h"

struct plan plans[PLANS_MOST];

static size_t count;
static bool made[PLANS_MOST]; /* by the program, not by a rule file */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

_Static_assert(sizeof(struct plan) == 8 + sizeof(plans[0].name), "no padding: compared by memcmp");

static const struct plan *find(const struct plan *plan)
{
	size_t n = at_acquire(&count);

	for (size_t i = 0; i < n; i++)
		if (memcmp(&plans[i], plan, sizeof(*plan)) == 0)
			return &plans[i];
	return NULL;
}

const struct plan *plans_keep(const struct plan *plan)
{
	const struct plan *kept = find(plan);

	if (kept)
		return kept;
	pthread_mutex_lock(&lock);
	kept = find(plan);
	if (!kept && count < PLANS_MOST) {
		plans[count] = *plan;
		kept = &plans[count];
		at_publish(&count, count + 1);
	}
	pthread_mutex_unlock(&lock);
	return kept;
}

const struct plan *plans_made(const char *name)
{
	size_t n = at_acquire(&count);

	for (size_t i = 0; i < n; i++)
		if (at_get(&made[i]) && strcmp(plans[i].name, name) == 0)
			return &plans[i];
	return NULL;
}

bool plans_make(const struct plan *plan)
{
	pthread_mutex_lock(&lock);
	const struct plan *other = plans_made(plan->name);
	if (!other)
		at_set(&made[plan - plans], true);
	pthread_mutex_unlock(&lock);
	return !other || other == plan;
}

void plans_reset(void)
{
	count = 0;
	memset(plans, 0, sizeof(plans));
	memset(made, 0, sizeof(made));
}
