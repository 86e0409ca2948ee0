#include "site/plans.h"

#include <pthread.h>
#include <string.h>

#include "kernel/say.h"
#include "pmd/atomic.h"
#include "table.h"

TABLE struct kept_plan plans[PLANS_MOST];

static size_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

_Static_assert(sizeof(struct plan) == 8 + sizeof(plans[0].plan.name),
               "no padding: compared by memcmp");

static const struct kept_plan *find(const char *name, const struct plan *plan)
{
	size_t n = at_acquire(&count);

	for (size_t i = 0; i < n; i++)
		if (memcmp(&plans[i].plan, plan, sizeof(*plan)) == 0 &&
		    strcmp(plans[i].name, name) == 0)
			return &plans[i];
	return NULL;
}

static const struct kept_plan *add(const char *name, const struct plan *plan)
{
	struct kept_plan *kept = &plans[count];

	kept->plan = *plan;
	say_into(kept->name, sizeof(kept->name), "%s", name);
	at_publish(&count, count + 1);
	return kept;
}

const struct kept_plan *plans_keep(const char *name, const struct plan *plan)
{
	const struct kept_plan *kept = find(name, plan);

	if (kept)
		return kept;
	pthread_mutex_lock(&lock);
	kept = find(name, plan);
	if (!kept && count < PLANS_MOST)
		kept = add(name, plan);
	pthread_mutex_unlock(&lock);
	return kept;
}

const struct kept_plan *plans_made(const char *name)
{
	size_t n = at_acquire(&count);

	for (size_t i = 0; i < n; i++)
		if (at_get(&plans[i].made) && strcmp(plans[i].name, name) == 0)
			return &plans[i];
	return NULL;
}

bool plans_make(const struct kept_plan *kept)
{
	pthread_mutex_lock(&lock);
	const struct kept_plan *other = plans_made(kept->name);
	if (!other)
		at_set(&plans[kept - plans].made, true);
	pthread_mutex_unlock(&lock);
	return !other || other == kept;
}
