/*
 * api.c: the public C API, but for what is older than the rest of it (init.c) and for plans
 * (plan.c).
 *
 * What a call does is decided in the parts that it belongs to; here arguments are checked, and
 * errors given the form that unsplit.h promises.
 */
#include "unsplit/unsplit.h"

#include <errno.h>
#include <string.h>

#include "abi/export.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/proof.h"
#include "heap/small.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "kernel/scan.h"
#include "options.h"
#include "pmd/zone.h"
#include "release/release.h"
#include "report/report.h"
#include "report/stats.h"

/* ---- giving back, and healing ---- */

static size_t demote(void *bytes)
{
	/* In a thread past its end there is nothing to collect. */
	if (self.state == THREAD_ATTACHED) {
		small_collect();
		large_collect();
	}
	return release_demote(*(size_t *)bytes);
}

EXPORT size_t unsplit_demote(size_t bytes)
{
	int saved_errno = errno;
	size_t given = heap_run(demote, &bytes);

	errno = saved_errno;
	return given;
}

static size_t heal_one(void *healing)
{
	return release_heal(healing);
}

EXPORT size_t unsplit_heal(void)
{
	struct release_healing healing = {0};
	int saved_errno = errno;

	while (heap_run(heal_one, &healing))
		;
	errno = saved_errno;
	return healing.healed << machine.unit_shift;
}

/* ---- options ---- */

/* A change that is asked for. */
struct change {
	const struct option_row *row;
	const char *value;
};

static bool apply(void *change)
{
	const struct change *c = change;

	return option_parse(c->row, c->value, &options);
}

/* What was decided by the old value, and would not be again. */
static void follow_up(const struct option_row *row, bool reported)
{
	if (strcmp(row->name, "huge_after") == 0)
		proof_again();
	else if (strcmp(row->name, "report") == 0 && !reported &&
	         strcmp(options.report, "off") != 0)
		report_start();
}

static size_t change_option(void *change)
{
	const struct change *c = change;
	bool reported = strcmp(options.report, "off") != 0;

	if (!release_change(apply, change))
		return EINVAL;
	follow_up(c->row, reported);
	return 0;
}

static size_t nothing(void *unused)
{
	(void)unused;
	return 0;
}

EXPORT int unsplit_set(const char *name, const char *value)
{
	int saved_errno = errno;

	if (!name || !value)
		return EINVAL;
	struct change change = {option_find(name), value};
	if (!change.row)
		return ENOENT;
	if (!option_is_live(change.row))
		return EPERM;
	int error = (int)heap_run(change_option, &change);
	errno = saved_errno;
	return error;
}

EXPORT int unsplit_get(const char *name, char *buf, size_t size)
{
	char value[sizeof(options.report)];

	if (!name || !buf || !size)
		return EINVAL;
	const struct option_row *row = option_find(name);
	if (!row)
		return ENOENT;
	heap_run(nothing, NULL); /* the options are read when the heap is made ready */
	option_show(row, &options, value, sizeof(value));
	return say_into(buf, size, "%s", value) < size ? 0 : ERANGE;
}

/* ---- what is the case ---- */

/* Give a caller who knows `size` bytes of a struct those that we know too, and else 0.  The first
 * member says how many these are. */
static int hand_over(void *to, size_t size, const void *from, uint64_t known)
{
	size_t both = size < known ? size : known;

	if (!to || size < sizeof(uint64_t))
		return EINVAL;
	memset(to, 0, size);
	memcpy(to, from, both);
	memcpy(to, &(uint64_t){both}, sizeof(uint64_t));
	return 0;
}

/* Bring the statistics up to date that are derived from others. */
static size_t account(void *unused)
{
	(void)unused;
	proof_account();
	stat_set(slack, release_slack_pages() << machine.grain_shift);
	return 0;
}

EXPORT int unsplit_stats(struct unsplit_stats *result, size_t size)
{
	heap_run(account, NULL);
	struct unsplit_stats s = {
		.unit = machine.unit,
		.small_used = stat_get(small_used),
		.large_used = stat_get(large_used),
		.used_peak = stat_get(used_peak),
		.huge_asked = stat_get(huge_asked),
		.retained = stat_get(retained),
		.slack = stat_get(slack),
		.returned_units = stat_get(returned_units),
		.demoted_units = stat_get(demoted_units),
		.demoted_bytes = stat_get(demoted_bytes),
		.healed_units = stat_get(healed_units),
		.heal_failures = stat_get(heal_failures),
		.longest_pause_ns = stat_get(longest_pause_ns),
		.out_of_memory = stat_get(out_of_memory),
	};
	return hand_over(result, size, &s, sizeof(s));
}

EXPORT int unsplit_stat(const char *name, uint64_t *value)
{
	static const struct {
		const char *name;
		const uint64_t *value;
	} rows[] = {
#define STAT(name, unit, help) {#name, &stats.name},
#include "report/stats.def"
	};

	if (!name || !value)
		return EINVAL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(name, rows[i].name) == 0) {
			heap_run(account, NULL);
			*value = __atomic_load_n(rows[i].value, __ATOMIC_RELAXED);
			return 0;
		}
	}
	return ENOENT;
}

static void add_scan(struct unsplit_memory *m, const struct scan *scan)
{
	if (scan->whole_process) {
		m->whole = 1;
		m->resident = scan->resident;
		m->huge = scan->huge;
	} else {
		m->resident += scan->resident;
		m->huge += scan->huge;
	}
}

EXPORT int unsplit_memory(struct unsplit_memory *result, size_t size)
{
	struct unsplit_memory m = {0};
	struct scan scan;

	heap_run(nothing, NULL); /* there are zones when the heap is ready */
	for (struct zone *z = zones_first(); z; z = z->next) {
		size_t bytes = at_acquire(&z->data.ready);
		int error = scan_range(z->data.base, bytes, &scan);

		if (error)
			return error;
		m.in_range += bytes;
		add_scan(&m, &scan);
	}
	return hand_over(result, size, &m, sizeof(m));
}
