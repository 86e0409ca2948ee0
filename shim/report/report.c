/*
 * report.c: the content of the report, and where it goes.
 */
#include "report/report.h"

#include "kernel/say.h"
#include "kernel/scan.h"
#include "kernel/sysfs.h"
#include "report/emitter.h"
#include "report/report_nodes.h"
#include "report/report_sites.h"
#include "report/stats.h"
#include "report/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of the keys and their meaning.  A program that reads the JSON checks it first. */
enum { REPORT_VERSION = 1 };

/* The counters of /proc/vmstat that show a huge page breaking: "thp_" and the key. */
struct counter {
	const char *field;
	const char *key, *unit, *help;
	uint64_t at_start;
	bool known; /* `at_start` was read */
};

static struct counter counters[] = {
	{"thp_split_pmd", "split_pmd", "huge mappings", "broken", 0, false},
	{"thp_split_page", "split_page", "huge pages", "split", 0, false},
	{"thp_deferred_split_page", "deferred_split_page", "huge pages",
         "freed in part and kept whole", 0, false},
};

enum { COUNTERS = sizeof(counters) / sizeof(counters[0]) };

static bool started;

/* What the kernel says of all ranges together. */
struct sum {
	uint64_t in_range;
	struct scan scan;
	int error; /* errno value: the kernel would not say */
};

void report_start(void)
{
	for (size_t i = 0; i < COUNTERS; i++)
		counters[i].known =
			sysfs_field("/proc/vmstat", counters[i].field, &counters[i].at_start);
	started = true;
}

static void write_identity(struct emitter *e)
{
	char command[32];
	long length = sysfs_read("/proc/self/comm", command, sizeof(command));

	emitter_number(e, "version", REPORT_VERSION, "", "of this format");
	emitter_string(e, "unsplit", UNSPLIT_VERSION, "");
	emitter_number(e, "pid", (uint64_t)getpid(), "", "");
	if (length <= 0) {
		emitter_unknown(e, "command", "");
		return;
	}
	command[strcspn(command, "\n")] = '\0';
	emitter_string(e, "command", command, "");
}

static void sum_add(struct sum *sum, const struct report_range *range, const struct scan *scan,
                    int error)
{
	sum->in_range += range->bytes;
	if (error) {
		sum->error = error;
	} else if (scan->whole_process) {
		sum->scan = *scan;
	} else {
		sum->scan.resident += scan->resident;
		sum->scan.huge += scan->huge;
	}
}

static void write_range(struct emitter *e, const struct report_range *range, struct sum *sum)
{
	struct scan scan;
	int error = scan_range(range->addr, range->bytes, &scan);

	sum_add(sum, range, &scan, error);
	emitter_open_row(e);
	emitter_string(e, "name", range->name, "");
	emitter_number(e, "in_range", range->bytes, "bytes", "");
	if (error || scan.whole_process) {
		emitter_unknown(e, "resident", "");
		emitter_unknown(e, "huge", "");
		emitter_unknown(e, "coverage", "");
	} else {
		emitter_number(e, "resident", scan.resident, "bytes", "");
		emitter_number(e, "huge", scan.huge, "bytes", "");
		emitter_percent(e, "coverage", scan.huge, scan.resident, "");
	}
	emitter_close_row(e);
}

static struct sum write_ranges(struct emitter *e, const struct report_range *ranges, size_t count)
{
	struct sum sum = {0};

	emitter_open_table(e, "ranges", "Address ranges");
	for (size_t i = 0; i < count; i++)
		write_range(e, &ranges[i], &sum);
	emitter_close_table(e);
	return sum;
}

static void write_known_sum(struct emitter *e, const struct scan *scan, uint64_t asked)
{
	emitter_number(e, "resident", scan->resident, "bytes", "of it in memory");
	emitter_number(e, "huge_asked", asked, "bytes", "asked for as huge pages");
	emitter_number(e, "huge_got", scan->huge, "bytes", "mapped by huge pages");
	emitter_percent(e, "got_of_asked", scan->huge, asked, "of what was asked");
	emitter_percent(e, "coverage", scan->huge, scan->resident, "of resident is huge");
	if (scan->whole_process)
		emitter_string(e, "source", "smaps_rollup",
		               "of the whole process: no PAGEMAP_SCAN");
	else
		emitter_string(e, "source", "PAGEMAP_SCAN", "");
}

static void write_unknown_sum(struct emitter *e, uint64_t asked)
{
	emitter_unknown(e, "resident", "");
	emitter_number(e, "huge_asked", asked, "bytes", "asked for as huge pages");
	emitter_unknown(e, "huge_got", "");
	emitter_unknown(e, "got_of_asked", "");
	emitter_unknown(e, "coverage", "");
	emitter_unknown(e, "source", "the kernel would not say");
}

/* What was asked of the kernel beside what it gave. */
static void write_heap(struct emitter *e, const struct sum *sum)
{
	uint64_t asked = stat_get(huge_asked);

	emitter_open_object(e, "heap", "All ranges together");
	emitter_number(e, "in_range", sum->in_range, "bytes", "of addresses that were ever used");
	if (sum->error)
		write_unknown_sum(e, asked);
	else
		write_known_sum(e, &sum->scan, asked);
	emitter_close_object(e);
}

static void write_anonymous(struct emitter *e)
{
	struct scan scan;

	if (scan_rollup(&scan)) {
		emitter_unknown(e, "anonymous", "");
		emitter_unknown(e, "anon_huge_pages", "");
		emitter_unknown(e, "coverage", "");
		return;
	}
	emitter_number(e, "anonymous", scan.resident, "bytes", "of anonymous memory are resident");
	emitter_number(e, "anon_huge_pages", scan.huge, "bytes", "of it mapped by huge pages");
	emitter_percent(e, "coverage", scan.huge, scan.resident, "of anonymous is huge");
}

static void write_process(struct emitter *e)
{
	struct rusage usage = {0};
	uint64_t peak;

	getrusage(RUSAGE_SELF, &usage);
	emitter_open_object(e, "process", "This process, with everything that is not ours");
	emitter_number(e, "minor_faults", (uint64_t)usage.ru_minflt, "page faults",
	               "met from memory");
	emitter_number(e, "major_faults", (uint64_t)usage.ru_majflt, "page faults",
	               "that read a disk");
	/* Not ru_maxrss: it outlives exec, so the peak of a big parent would be taken for ours. */
	if (sysfs_field("/proc/self/status", "VmHWM", &peak))
		emitter_number(e, "peak_rss", peak * 1024, "bytes", "resident at once, at most");
	else
		emitter_unknown(e, "peak_rss", "");
	write_anonymous(e);
	emitter_close_object(e);
}

static void write_counter(struct emitter *e, const struct counter *c)
{
	uint64_t now;

	if (c->known && sysfs_field("/proc/vmstat", c->field, &now))
		emitter_number(e, c->key, now - c->at_start, c->unit, c->help);
	else
		emitter_unknown(e, c->key, "");
}

/* Nobody counts splits by process, so the label must say whose these are. */
static void write_system(struct emitter *e)
{
	if (!started)
		return;
	emitter_open_object(e, "system_since_start", "System-wide, since start: all processes");
	for (size_t i = 0; i < COUNTERS; i++)
		write_counter(e, &counters[i]);
	emitter_close_object(e);
}

static void write_stats(struct emitter *e)
{
	emitter_open_object(e, "stats", "What unsplit did");
#define STAT(name, unit, help) emitter_number(e, #name, stat_get(name), unit, help);
#include "report/stats.def"
	emitter_close_object(e);
}

static int write_all(int fd, enum emitter_format format, const struct report_range *ranges,
                     size_t count)
{
	struct emitter e;
	struct sum sum;

	emitter_start(&e, fd, format, "unsplit: what was asked of the kernel, and what it gave");
	write_identity(&e);
	sum = write_ranges(&e, ranges, count);
	write_heap(&e, &sum);
	report_nodes(&e, ranges, count);
	write_process(&e);
	write_system(&e);
	write_stats(&e);
	report_rules(&e);
	report_sites(&e);
	return emitter_finish(&e);
}

static enum emitter_format format_of(const char *path)
{
	static const char suffix[] = ".json";
	size_t length = strlen(path), end = sizeof(suffix) - 1;

	return length >= end && strcmp(path + length - end, suffix) == 0 ? EMITTER_JSON
	                                                                 : EMITTER_TEXT;
}

static int write_file(const char *where, const struct report_range *ranges, size_t count)
{
	struct whole_file f;
	int error = whole_file_open(&f, where);

	return error ? error
	             : whole_file_close(&f, write_all(f.fd, format_of(where), ranges, count));
}

/* strerror() translates, and may allocate for it. */
static const char *error_text(int error)
{
	const char *text = strerrordesc_np(error);

	return text ? text : "unknown error";
}

int report_write(const char *where, const struct report_range *ranges, size_t count)
{
	int saved = errno;
	int error;

	if (strcmp(where, "stderr") == 0)
		error = write_all(STDERR_FILENO, EMITTER_TEXT, ranges, count);
	else
		error = write_file(where, ranges, count);
	if (error)
		say("the report cannot be written to %s: %s", where, error_text(error));
	errno = saved;
	return error;
}
