#include "heap/proof.h"

#include "heap/large.h"
#include "heap/small.h"
#include "kernel/kernel.h"
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
	__atomic_store_n(&proof_next, UINT64_MAX, __ATOMIC_RELAXED);
	zones_prove();
	for (struct zone *z = zones_first(); z; z = z->next)
		if (at_acquire(&z->huge))
			collapse_first_units(z);
}

void proof_ask(void)
{
	uint64_t promised = stat_get(small_used) + stat_get(large_used);

	if (!options.huge) {
		__atomic_store_n(&proof_next, UINT64_MAX, __ATOMIC_RELAXED);
		return;
	}
	if (promised < options.huge_after) {
		__atomic_store_n(&proof_next, options.huge_after, __ATOMIC_RELAXED);
		return;
	}
	size_t resident = zones_resident();
	if (resident >= options.huge_after || promised / PROMISE_RATIO >= options.huge_after)
		prove();
	else
		__atomic_store_n(&proof_next, promised + (options.huge_after - resident),
		                 __ATOMIC_RELAXED);
}

void proof_account(void)
{
	size_t kept = filler_kept(&large);

	for (size_t i = 0; i < at_acquire(&small_ledger_count); i++)
		kept += ledger_kept(&small_ledgers[i]);
	stat_set(retained, kept << machine.unit_shift);
	stat_set(huge_asked, zones_proven() ? (demand_now() + kept) << machine.unit_shift : 0);
}
