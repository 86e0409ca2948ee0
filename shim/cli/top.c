/* top.c: `unsplit top`: every process of the machine, by what it has on huge pages. */
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/flags.h"
#include "cli/process.h"
#include "cli/smaps.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "kernel/scan.h"
#include "report/emitter.h"

/* Of the keys and their meaning.  A program that reads the JSON checks it first. */
enum { TOP_VERSION = 1 };

struct row {
	pid_t pid;
	char command[64];
	uint64_t huge, anonymous, shmem_huge;
	uint64_t broken; /* units that could be huge, and are backed, but not by one huge page */
	bool broken_known;
	bool preloaded;
};

struct list {
	struct row *rows;
	size_t count, room;
	size_t unreadable;
};

struct request {
	const char *most, *by;
	uint64_t rows;
	bool json;
};

/* ---- look ---- */

/* A process on the way to its row. */
struct look {
	struct row *row;
	int pagemap;
};

static uint64_t round_down(uint64_t n)
{
	return n & ~(uint64_t)(machine.unit - 1);
}

/* Only whole units inside one mapping could be huge. */
static void count_broken(struct look *l, const struct mapping *m)
{
	uint64_t start = round_down(m->start + machine.unit - 1), end = round_down(m->end);
	struct scan scan;
	size_t broken;

	if (!m->eligible || m->anonymous <= m->anon_huge || start >= end)
		return;
	if (scan_open(l->pagemap, start, end - start, &scan, &broken) != 0)
		l->row->broken_known = false;
	else
		l->row->broken += broken;
}

static void add_mapping(const struct mapping *m, void *arg)
{
	struct look *l = arg;

	l->row->huge += m->anon_huge;
	l->row->anonymous += m->anonymous;
	l->row->shmem_huge += m->shmem_huge;
	l->row->preloaded |= m->ours;
	count_broken(l, m);
}

/* 0 or an errno value. */
static int look_at(struct process *p, struct row *row)
{
	struct look l = {row, open(process_path(p, "pagemap"), O_RDONLY | O_CLOEXEC)};
	int error = smaps_each(process_path(p, "smaps"), add_mapping, &l);

	if (l.pagemap >= 0)
		close(l.pagemap);
	return error;
}

static struct row *new_row(struct list *l)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->rows = realloc(l->rows, l->room * sizeof(*l->rows));
		if (!l->rows)
			die("out of memory");
	}
	return &l->rows[l->count];
}

/* Processes end while we look, and threads of the kernel have no memory: neither is worth a word.
 */
static void add_process(struct list *l, pid_t pid)
{
	struct row *row = new_row(l);
	struct process p;
	int error;

	if (process_open(&p, pid))
		return;
	*row = (struct row){.pid = pid, .broken_known = true};
	memcpy(row->command, p.command, sizeof(row->command));
	error = look_at(&p, row);
	if (!error)
		l->count++;
	else if (error == EACCES || error == EPERM)
		l->unreadable += process_has_memory(&p);
	process_close(&p);
}

static bool add_all(struct list *l)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc) {
		say("/proc cannot be read: %s", strerror(errno));
		return false;
	}
	while ((entry = readdir(proc))) {
		uint64_t pid;

		if (parse_number(entry->d_name, 1, INT_MAX, &pid))
			add_process(l, (pid_t)pid);
	}
	closedir(proc);
	return true;
}

/* ---- order ---- */

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int by_anonymous(const struct row *a, const struct row *b)
{
	int order = compare(a->anonymous, b->anonymous);

	return order ? order : (a->pid > b->pid) - (a->pid < b->pid);
}

static int by_huge(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int order = compare(a->huge + a->shmem_huge, b->huge + b->shmem_huge);

	if (!order)
		order = compare(a->broken, b->broken);
	return order ? order : by_anonymous(a, b);
}

static int by_broken(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int order = compare(a->broken, b->broken);

	return order ? order : by_huge(a, b);
}

/* ---- show ---- */

static void print_row(const struct row *r)
{
	const double mib = 1 << 20;

	printf("%7d %8.1fM %8.1fM ", (int)r->pid, (double)r->huge / mib,
	       (double)r->anonymous / mib);
	if (r->anonymous)
		printf("%5lu%%", (unsigned long)(r->huge * 100 / r->anonymous));
	else
		printf("%6s", "-");
	printf(" %8.1fM ", (double)r->shmem_huge / mib);
	if (r->broken_known)
		printf("%7lu", (unsigned long)r->broken);
	else
		printf("%7s", "-");
	printf(" %7s  %.15s\n", r->preloaded ? "yes" : "no", r->command);
}

static void print_text(const struct list *l, size_t rows)
{
	printf("%7s %9s %9s %6s %9s %7s %7s  %s\n", "PID", "HUGE", "ANON", "SHARE", "SHMHUGE",
	       "BROKEN", "UNSPLIT", "COMMAND");
	for (size_t i = 0; i < rows; i++)
		print_row(&l->rows[i]);
	printf("%zu of %zu processes", rows, l->count);
	if (l->unreadable)
		printf("; %zu more may not be read by this user", l->unreadable);
	putchar('\n');
}

static void emit_row(struct emitter *e, const struct row *r)
{
	emitter_open_row(e);
	emitter_number(e, "pid", (uint64_t)r->pid, "", "");
	emitter_string(e, "command", r->command, "");
	emitter_number(e, "huge", r->huge, "bytes", "");
	emitter_number(e, "anonymous", r->anonymous, "bytes", "");
	emitter_percent(e, "coverage", r->huge, r->anonymous, "");
	emitter_number(e, "shmem_huge", r->shmem_huge, "bytes", "");
	if (r->broken_known)
		emitter_number(e, "broken", r->broken, "", "");
	else
		emitter_unknown(e, "broken", "");
	emitter_number(e, "preloaded", r->preloaded, "", "");
	emitter_close_row(e);
}

static int print_json(const struct list *l, size_t rows)
{
	struct emitter e;

	emitter_start(&e, STDOUT_FILENO, EMITTER_JSON, "");
	emitter_number(&e, "version", TOP_VERSION, "", "");
	emitter_number(&e, "readable", l->count, "", "");
	emitter_number(&e, "unreadable", l->unreadable, "", "");
	emitter_open_table(&e, "processes", "");
	for (size_t i = 0; i < rows; i++)
		emit_row(&e, &l->rows[i]);
	emitter_close_table(&e);
	return emitter_finish(&e);
}

static bool parse(struct request *r, char **args)
{
	const struct flag flags[] = {
		{"--json", &r->json, NULL}, {"--by", NULL, &r->by}, {"-n", NULL, &r->most}};

	args = take_flags("top", args, flags, sizeof(flags) / sizeof(flags[0]), false);
	if (!args)
		return false;
	if (*args) {
		say("top takes no argument \"%s\"; \"unsplit help top\" tells more", *args);
		return false;
	}
	if (!parse_number(r->most, 1, INT_MAX, &r->rows)) {
		say("top: option -n: \"%s\" is no number of lines, which is from 1 on", r->most);
		return false;
	}
	if (strcmp(r->by, "huge") != 0 && strcmp(r->by, "broken") != 0) {
		say("top: option --by: \"%s\" is not known; it is huge or broken", r->by);
		return false;
	}
	return true;
}

static int top_main(char **args)
{
	struct request r = {.most = "20", .by = "huge"};
	struct list l = {0};
	size_t rows;
	int error = 0;

	if (!parse(&r, args))
		return EXIT_USAGE;
	machine_init();
	if (!add_all(&l))
		return 1;
	if (l.count)
		qsort(l.rows, l.count, sizeof(*l.rows),
		      strcmp(r.by, "huge") == 0 ? by_huge : by_broken);
	rows = l.count < r.rows ? l.count : r.rows;
	if (r.json)
		error = print_json(&l, rows);
	else
		print_text(&l, rows);
	free(l.rows);
	if (error)
		say("cannot write to standard output: %s", strerror(error));
	return error ? 1 : 0;
}

const struct command top_command = {
	.name = "top",
	.summary = "list all processes by what they have on huge pages",
	.usage = "Usage: unsplit top [--json] [--by huge|broken] [-n LINES]\n"
		 "\n"
		 "List the processes of the machine, with the library or without, by bytes on\n"
		 "huge pages or by broken units; 20 of them, or LINES.\n"
		 "\n"
		 "  HUGE     anonymous memory on huge pages\n"
		 "  ANON     anonymous memory; SHARE is the part of it that is huge\n"
		 "  SHMHUGE  shared memory on huge pages; processes that share it show it each\n"
		 "  BROKEN   units that could be huge, and are backed, but not by one huge page\n"
		 "  UNSPLIT  whether libunsplit is preloaded\n"
		 "\n"
		 "Processes that this user may not read are counted.  The exit status is 0; 1 if\n"
		 "/proc cannot be read; 2 on wrong usage.\n",
	.main = top_main,
};
