/* record.c: `unsplit record`: the figures of a process over time, into a file. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/child.h"
#include "cli/flags.h"
#include "cli/record.h"
#include "cli/sample.h"
#include "kernel/kernel.h"
#include "kernel/say.h"

struct request {
	const char *path, *interval_word, *pid;
	bool json;
	uint64_t interval; /* ms */
	char **command;
};

struct recording {
	const struct request *request;
	struct process process;
	FILE *out;
	uint64_t start; /* ms */
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void write_head(FILE *out)
{
	fputs(RECORD_TIME, out);
	for (int i = 0; i < SAMPLE_FIGURES; i++)
		fprintf(out, ",%s", sample_keys[i]);
	putc('\n', out);
}

/* What is not known is an empty cell. */
static void write_cells(FILE *out, uint64_t time, const struct sample *s)
{
	fprintf(out, "%lu", (unsigned long)time);
	for (int i = 0; i < SAMPLE_FIGURES; i++) {
		putc(',', out);
		if (s->known[i])
			fprintf(out, "%lu", (unsigned long)s->value[i]);
	}
	putc('\n', out);
}

static void write_json(FILE *out, uint64_t time, const struct sample *s)
{
	fprintf(out, "{\"" RECORD_TIME "\": %lu, ", (unsigned long)time);
	sample_print_json(out, s);
	fputs("}\n", out);
}

/* Line by line, so that a recording that is ended by a signal is whole. */
static bool write_sample(struct recording *r, const struct view *v)
{
	struct sample s = sample_of(v);
	uint64_t time = now() - r->start;

	if (r->request->json)
		write_json(r->out, time, &s);
	else
		write_cells(r->out, time, &s);
	if (fflush(r->out) == 0)
		return true;
	say("%s cannot be written: %s", r->request->path, strerror(errno));
	return false;
}

/* Until the process ends, which is no error.  False after a line on stderr. */
static bool record(struct recording *r)
{
	struct view v;

	r->process.may_end = true;
	r->start = now();
	for (uint64_t next = r->start;;) {
		if (view_take(&v, &r->process))
			return !process_runs(&r->process);
		if (!write_sample(r, &v))
			return false;
		/* On time again if one look took longer than the interval. */
		do
			next += r->request->interval;
		while (next <= now());
		process_wait(&r->process, next - now());
	}
}

static bool open_file(struct recording *r)
{
	r->out = fopen(r->request->path, "we");
	if (r->out && !r->request->json)
		write_head(r->out);
	if (r->out && fflush(r->out) == 0)
		return true;
	say("%s cannot be written: %s", r->request->path, strerror(errno));
	return false;
}

static int record_pid(struct recording *r)
{
	int status = process_find(&r->process, "record", r->request->pid);
	struct view v;

	if (status)
		return status;
	/* What cannot be looked at leaves no file behind. */
	if (view_take(&v, &r->process) || !open_file(r))
		return 1;
	return record(r) && fclose(r->out) == 0 ? 0 : 1;
}

static int record_child(struct recording *r)
{
	struct child child;
	bool good;
	int status;

	if (!open_file(r))
		return 1;
	status = child_start(&child, r->request->command, NULL, NULL);
	if (status)
		return status;
	good = process_open(&r->process, child.pid) == 0 && record(r) && fclose(r->out) == 0;
	status = child_end(&child);
	return status || good ? status : 1;
}

static bool parse_interval(struct request *q)
{
	if (parse_number(q->interval_word, 1, INT_MAX, &q->interval))
		return true;
	say("record: option -i: \"%s\" is no number of milliseconds, which is from 1 on",
	    q->interval_word);
	return false;
}

static bool parse(struct request *q, char **args)
{
	const struct flag flags[] = {
		{"-o", NULL, &q->path},
		{"-p", NULL, &q->pid},
		{"-i", NULL, &q->interval_word},
		{"--json", &q->json, NULL},
	};

	q->command = take_flags("record", args, flags, sizeof(flags) / sizeof(flags[0]), true);
	if (!q->command || !parse_interval(q))
		return false;
	if (!q->path) {
		say("record needs -o FILE; \"unsplit help record\" tells more");
		return false;
	}
	if (!q->pid == !*q->command) {
		say("record needs either a command or -p PID; \"unsplit help record\" tells more");
		return false;
	}
	return true;
}

static int record_main(char **args)
{
	struct request q = {.interval_word = "100"};
	struct recording r = {.request = &q};

	if (!parse(&q, args))
		return EXIT_USAGE;
	machine_init();
	return q.pid ? record_pid(&r) : record_child(&r);
}

const struct command record_command = {
	.name = "record",
	.summary = "write what a process holds over time into a file",
	.usage = "Usage: unsplit record -o FILE [-i MS] [--json] [--] COMMAND [ARGUMENT...]\n"
		 "       unsplit record -o FILE [-i MS] [--json] -p PID\n"
		 "\n"
		 "Look at a process every MS milliseconds (100) until it ends, and write a line\n"
		 "for each look into FILE: the time, and the figures of `unsplit stat PID\n"
		 "INTERVAL`, in bytes and units; the counters count from the start of the\n"
		 "program.  COMMAND is started as it is, so that any allocator can be recorded;\n"
		 "for ours:\n"
		 "\n"
		 "  unsplit record -o run.csv -- unsplit run -- COMMAND\n"
		 "  unsplit plot run.csv -o run.svg\n"
		 "\n"
		 "Only this one process is looked at and not its children, but what is charged is\n"
		 "that of its memory cgroup with all that is in it.\n"
		 "\n"
		 "  --json   an object on each line instead of CSV\n"
		 "\n"
		 "The exit status is the command's (128 and more: it was ended by a signal), 127\n"
		 "if it is not found, 126 if it cannot be executed; 1 if something cannot be read\n"
		 "or written; 2 on wrong usage.\n",
	.main = record_main,
};
