/* stat.c: `unsplit stat`: a running process, from outside. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/flags.h"
#include "cli/live_nodes.h"
#include "cli/live_sites.h"
#include "cli/sample.h"
#include "cli/view.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "kernel/sysfs.h"
#include "report/emitter.h"

/* Of the keys and their meaning.  A program that reads the JSON checks it first. */
enum { STAT_VERSION = 1 };

struct request {
	struct process process;
	bool json;
	uint64_t interval; /* ms; 0: look once */
	uint64_t count;    /* lines; 0: until the process ends */
	const char *most;
	uint64_t sites; /* how many are shown */
};

/* ---- one look ---- */

static void emit_identity(struct emitter *e, const struct view *v, const struct process *p)
{
	emitter_number(e, "version", STAT_VERSION, "", "of this format");
	if (*v->release)
		emitter_string(e, "unsplit", v->release, "");
	else
		emitter_unknown(e, "unsplit", "it is not in this process");
	emitter_number(e, "pid", (uint64_t)p->pid, "", "");
	emitter_string(e, "command", p->command, "");
}

static void emit_broken(struct emitter *e, const struct view *v, uint64_t broken, const char *help)
{
	if (v->broken_known)
		emitter_number(e, "broken", broken, *help ? "units" : "", help);
	else
		emitter_unknown(e, "broken", help);
}

static void emit_zones(struct emitter *e, const struct view *v)
{
	emitter_open_table(e, "zones", "Zones of the heap");
	for (size_t i = 0; i < v->zone_count; i++) {
		const struct view_zone *z = &v->zones[i];

		emitter_open_row(e);
		emitter_string(e, "name", z->name, "");
		emitter_number(e, "used", z->used, "bytes", "");
		emitter_number(e, "backed", z->resident, "bytes", "");
		emitter_number(e, "huge", z->huge, "bytes", "");
		emitter_percent(e, "coverage", z->huge, z->resident, "");
		emit_broken(e, v, z->broken, "");
		emitter_close_row(e);
	}
	emitter_close_table(e);
}

static void emit_heap(struct emitter *e, const struct view *v)
{
	const struct view_zone *z = &v->all;

	emitter_open_object(e, "heap", "All zones together");
	emitter_number(e, "used", z->used, "bytes", "promised to the program");
	emitter_number(e, "backed", z->resident, "bytes", "in memory");
	emitter_number(e, "huge_asked", v->stats.huge_asked, "bytes", "asked for as huge pages");
	emitter_number(e, "huge_got", z->huge, "bytes", "mapped by huge pages");
	emitter_percent(e, "got_of_asked", z->huge, v->stats.huge_asked, "of what was asked");
	emitter_percent(e, "coverage", z->huge, z->resident, "of backed is huge");
	emit_broken(e, v, z->broken, "backed, but not by one huge page");
	emitter_close_object(e);
}

static void emit_process(struct emitter *e, const struct view *v)
{
	const struct mapping *m = &v->process;

	emitter_open_object(e, "process", "This process, with everything that is not ours");
	emitter_number(e, "resident", m->resident, "bytes", "in memory");
	emitter_number(e, "anonymous", m->anonymous, "bytes", "of it anonymous");
	emitter_number(e, "anon_huge_pages", m->anon_huge, "bytes", "of that on huge pages");
	emitter_percent(e, "coverage", m->anon_huge, m->anonymous, "of anonymous is huge");
	emitter_number(e, "shmem_huge_pages", m->shmem_huge, "bytes", "of shared memory on them");
	if (v->charged_known)
		emitter_number(e, "charged", v->charged, "bytes",
		               "to its memory cgroup, less page cache");
	else
		emitter_unknown(e, "charged", "it is in no memory cgroup");
	emitter_close_object(e);
}

/* The counters of /proc/vmstat that show a huge page breaking: "thp_" and the key. */
static const struct {
	const char *field, *key, *unit, *help;
} counters[] = {
	{"thp_split_pmd", "split_pmd", "huge mappings", "broken"},
	{"thp_split_page", "split_page", "huge pages", "split"},
	{"thp_deferred_split_page", "deferred_split_page", "huge pages",
         "freed in part and kept whole"},
};

static void emit_system(struct emitter *e)
{
	emitter_open_object(e, "system", "System-wide, since it was started: all processes");
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		uint64_t value;

		if (sysfs_field("/proc/vmstat", counters[i].field, &value))
			emitter_number(e, counters[i].key, value, counters[i].unit,
			               counters[i].help);
		else
			emitter_unknown(e, counters[i].key, "");
	}
	emitter_close_object(e);
}

static void emit_stats(struct emitter *e, const struct stats *s)
{
	emitter_open_object(e, "stats", "What unsplit did");
#define STAT(name, unit, help) emitter_number(e, #name, s->name, unit, help);
#include "report/stats.def"
	emitter_close_object(e);
}

/* What is only looked at once. */
struct more {
	struct live_nodes nodes;
	struct live_site_list sites;
};

/* Returns an exit status. */
static int take_more(struct request *r, const struct view *v, struct more *m)
{
	int error = live_nodes_take(&m->nodes, v, &r->process);

	/* A kernel that knows of no nodes has no such file. */
	if (error && error != ENOENT)
		return process_complain(&r->process, "numa_maps", error);
	if (*v->release && (error = live_sites_take(&m->sites, v, &r->process)))
		return process_complain(&r->process, "the memory", error);
	return 0;
}

static int finish(struct emitter *e)
{
	int error = emitter_finish(e);

	if (error)
		say("cannot write to standard output: %s", strerror(error));
	return error ? 1 : 0;
}

static int show_once(struct request *r, const struct view *v)
{
	struct more m = {0};
	struct emitter e;
	int status = take_more(r, v, &m);

	if (status)
		return status;

	emitter_start(&e, STDOUT_FILENO, r->json ? EMITTER_JSON : EMITTER_TEXT,
	              "unsplit: a process as it is now");
	emit_identity(&e, v, &r->process);
	if (*v->release) {
		emit_zones(&e, v);
		emit_heap(&e, v);
	}
	emit_process(&e, v);
	live_nodes_emit(&m.nodes, &e, *v->release);
	emit_system(&e);
	if (*v->release)
		emit_stats(&e, &v->stats);
	if (r->json)
		live_sites_emit(&m.sites, &e, r->sites);
	status = finish(&e);
	if (!r->json && !status)
		live_sites_print(&m.sites, r->sites);
	live_sites_free(&m.sites);
	return status;
}

/* ---- a line each interval ---- */

static const char *const heads[SAMPLE_FIGURES] = {
	"used", "backed", "charged", "huge", "broken", "return", "demote", "heal", "cut",
};

enum { BYTES_WIDTH = 10, COUNT_WIDTH = 7 };

static int width_of(int figure)
{
	return figure <= SAMPLE_HUGE ? BYTES_WIDTH : COUNT_WIDTH;
}

static void print_heads(void)
{
	for (int i = 0; i < SAMPLE_FIGURES; i++)
		printf("%*s", width_of(i), heads[i]);
	putchar('\n');
}

static void print_cell(int i, const struct sample *s)
{
	if (!s->known[i])
		printf("%*s", width_of(i), "-");
	else if (i <= SAMPLE_HUGE)
		printf("%*.1fM", width_of(i) - 1, (double)s->value[i] / (1 << 20));
	else
		printf("%*lu", width_of(i), (unsigned long)s->value[i]);
}

static bool print_line(const struct request *r, const struct sample *s, uint64_t number)
{
	enum { PAGE = 20 };

	if (r->json) {
		putchar('{');
		sample_print_json(stdout, s);
		puts("}");
	} else {
		if (number % PAGE == 0)
			print_heads();
		for (int i = 0; i < SAMPLE_FIGURES; i++)
			print_cell(i, s);
		putchar('\n');
	}
	return fflush(stdout) == 0; /* main() says it if not */
}

static int show_lines(struct request *r, struct view *v)
{
	struct sample before = {{0}, {false}}, now, added;

	for (uint64_t i = 0;;) {
		now = sample_of(v);
		added = sample_since(&now, &before);
		if (!print_line(r, &added, i) || ++i == r->count)
			return 0;
		before = now;
		process_wait(&r->process, r->interval);
		if (view_take(v, &r->process))
			return 1;
	}
}

/* ---- */

static bool parse_times(struct request *r, char **args)
{
	if (!args[0])
		return true;
	if (!parse_seconds(args[0], &r->interval)) {
		say("stat: \"%s\" is no interval, which is a number of seconds such as 1 or 0.5",
		    args[0]);
		return false;
	}
	if (args[1] && !parse_number(args[1], 1, INT_MAX, &r->count)) {
		say("stat: \"%s\" is no number of lines, which is from 1 on", args[1]);
		return false;
	}
	if (args[1] && args[2]) {
		say("stat takes no argument \"%s\"; \"unsplit help stat\" tells more", args[2]);
		return false;
	}
	return true;
}

static int parse(struct request *r, char **args)
{
	const struct flag flags[] = {{"--json", &r->json, NULL}, {"-n", NULL, &r->most}};

	args = take_flags("stat", args, flags, 2, false);
	if (!args)
		return EXIT_USAGE;
	if (!parse_number(r->most, 0, INT_MAX, &r->sites)) {
		say("stat: option -n: \"%s\" is no number of call sites", r->most);
		return EXIT_USAGE;
	}
	if (!args[0]) {
		say("stat needs a process id; \"unsplit help stat\" tells more");
		return EXIT_USAGE;
	}
	if (!parse_times(r, args + 1))
		return EXIT_USAGE;
	return process_find(&r->process, "stat", args[0]);
}

static int stat_main(char **args)
{
	struct request r = {.most = "5"};
	struct view v;
	int status = parse(&r, args);

	if (status)
		return status;
	machine_init();
	if (view_take(&v, &r.process))
		return 1;
	if (!*v.release)
		say("libunsplit is not in process %d (%s); this is what the kernel says of it",
		    (int)r.process.pid, r.process.command);
	status = r.interval ? show_lines(&r, &v) : show_once(&r, &v);
	process_close(&r.process);
	return *v.release ? status : 1;
}

const struct command stat_command = {
	.name = "stat",
	.summary = "look at a running process: what it was given, what became of it",
	.usage = "Usage: unsplit stat [--json] [-n COUNT] PID [INTERVAL [COUNT]]\n"
		 "\n"
		 "Look at a running process, which needs no preparation but the preloaded\n"
		 "library: its statistics are read from its memory, and the kernel is asked what\n"
		 "is huge.  Of a process without the library only what the kernel says is shown.\n"
		 "On a machine with several NUMA nodes that includes on which the memory lies.\n"
		 "The call sites that asked for most are shown if the program tells them apart,\n"
		 "which UNSPLIT_CONF=sites:on (unsplit run --sites) lets it do.\n"
		 "\n"
		 "With INTERVAL (seconds, such as 0.5), print a line each interval: COUNT times,\n"
		 "or until the process ends.\n"
		 "\n"
		 "  used     bytes promised to the program by the heap\n"
		 "  backed   bytes of anonymous memory of the whole process that are in memory\n"
		 "  charged  bytes charged to its memory cgroup, less page cache; all processes\n"
		 "           in the cgroup together\n"
		 "  huge     bytes of backed that are on huge pages\n"
		 "  broken   units of the heap that are backed, but not by one huge page\n"
		 "  return   units given back whole; demote: split on purpose; heal: made huge\n"
		 "           again\n"
		 "  cut      huge pages that the program's own calls cut through\n"
		 "           (the last four since the line before; the first since its start)\n"
		 "\n"
		 "  --json    JSON; with INTERVAL, an object on each line\n"
		 "  -n COUNT  show so many call sites (5)\n"
		 "\n"
		 "The exit status is 0; 1 if the library is not in the process, if it may not be\n"
		 "read, or once it has ended; 2 on wrong usage.\n",
	.main = stat_main,
};
