#include "heap/proof.h"

#include <string.h>

#include "heap/large.h"
#include "release/release.h"
#include "heap/small.h"
#include "kernel/kernel.h"
#include "kernel/sysfs.h"
#include "options.h"
#include "pmd/demand.h"
#include "pmd/zone.h"

/* A heap that has promised this many times huge_after is big whatever it has touched yet: a
 * program may ask for all its memory at once, and touch it before it calls us again. */
enum { PROMISE_RATIO = 16 };

uint64_t proof_next;

/* Units that filled with base pages before the proof are made huge now: those that are full enough
 * for it to pay (K8: from about 70 of 512 pages on), a few, as the caller waits. */
static void collapse_first_units(struct zone *z)
{
	enum { FEW = 8 };
	size_t ready = at_acquire(&z->data.ready) >> machine.unit_shift;

	for (size_t i = 0; i < ready && i < FEW; i++) {
		char *unit = z->data.base + (i << machine.unit_shift);
		size_t resident = kernel->resident(unit, machine.unit);

		if (resident != SIZE_MAX && resident > machine.unit / 8)
			kernel->collapse(unit);
	}
}

static void prove(void)
{
	at_set(&proof_next, UINT64_MAX);
	zones_prove();
	for (struct zone *z = zones_first(); z; z = z->next)
		if (at_acquire(&z->huge))
			collapse_first_units(z);
}

/* MADV_COLLAPSE makes huge pages even under "never" (K5), which is not what "never" asks for. */
static bool is_allowed(void)
{
	char word[16];

	return options.huge && (!sysfs_choice(SYSFS_THP "enabled", word, sizeof(word)) ||
	                        strcmp(word, "never") != 0);
}

void proof_ask(void)
{
	uint64_t promised = stat_get(small_used) + stat_get(large_used);

	if (promised < options.huge_after) {
		at_set(&proof_next, options.huge_after);
		return;
	}
	if (!is_allowed()) {
		at_set(&proof_next, UINT64_MAX);
		return;
	}
	size_t resident = zones_resident();
	if (resident >= options.huge_after || promised / PROMISE_RATIO >= options.huge_after)
		prove();
	else
		at_set(&proof_next, promised + (options.huge_after - resident));
}

/* Asked once, since it is asked at each request under such a plan. */
bool proof_may_be_huge(void)
{
	enum { UNKNOWN, YES, NO };
	static int known;

	if (at_get(&known) == UNKNOWN)
		at_set(&known, is_allowed() ? YES : NO);
	return at_get(&known) == YES;
}

void proof_again(void)
{
	if (!zones_proven())
		at_set(&proof_next, 0);
}

/* Units in use where rules want base pages, and where they want huge ones whatever the heap has
 * proven. */
static size_t units_in_use(unsigned pages)
{
	size_t units = 0;

	each_filler(f)
		if (f->policy.zone.pages == pages)
			units += at_get(&f->pack.units) + at_get(&f->whole_units) + filler_kept(f);
	return units;
}

void proof_account(void)
{
	size_t kept = release_kept_units(), held = demand_now() + kept;
	size_t asked = zones_proven() ? held - units_in_use(ZONE_BASE) : units_in_use(ZONE_HUGE);

	stat_set(retained, kept << machine.unit_shift);
	stat_set(huge_asked, asked << machine.unit_shift);
}
