#include "pmd/surgery.h"

#include "kernel/kernel.h"
#include "report/stats.h"

static bool split(struct zone *z, void *unit)
{
	struct kernel_unit after;

	if (!kernel->exclusive(unit))
		return false;
	/* First the advice, else khugepaged puts the unit together again half-way (K1). */
	if (kernel->advise_base(unit, machine.unit))
		return false;
	if (!kernel->split(unit) && (kernel->survey(unit, 1, &after) || !after.huge))
		return true;
	zone_readvise(z, unit, machine.unit);
	return false;
}

bool surgery_split(struct zone *z, void *unit)
{
	if (split(z, unit)) {
		stat_add(demoted_units, 1);
		return true;
	}
	stat_add(demote_failures, 1);
	return false;
}

bool surgery_is_split(void *unit)
{
	struct kernel_unit now;

	return !kernel->survey(unit, 1, &now) && !now.huge;
}

bool surgery_give_pages(void *unit, struct bits *pages)
{
	bool any = false;

	for (unsigned at = bits_next(pages, 0, true); at < UNIT_PAGES;) {
		unsigned end = bits_next(pages, at, false);
		char *from = (char *)unit + ((size_t)at << machine.grain_shift);

		if (kernel->give_back(from, (size_t)(end - at) << machine.grain_shift))
			bits_clear(pages, at, end - at);
		else
			any = true;
		at = bits_next(pages, end, true);
	}
	return any;
}

bool surgery_collapse(struct zone *z, void *unit, bool demoted)
{
	if (demoted)
		zone_readvise(z, unit, machine.unit);
	if (!kernel->collapse(unit)) {
		stat_add(healed_units, 1);
		return true;
	}
	if (demoted)
		kernel->advise_base(unit, machine.unit);
	stat_add(heal_failures, 1);
	return false;
}
