/* trace.c: `unsplit trace`: what the kernel did to the huge pages of a command. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/events.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/stacks.h"
#include "cli/symbolize.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "report/emitter.h"

/* Of the keys and their meaning.  A program that reads the JSON checks it first. */
enum { TRACE_VERSION = 1 };

struct request {
	const char *output; /* NULL: standard error, as standard output is the command's */
	bool json, stacks;
	char **command;
};

static bool prepare(pid_t pid, void *arg)
{
	return events_open(arg, pid);
}

static void emit_count(struct emitter *e, const char *key, bool known, uint64_t value,
                       const char *unit, const char *help)
{
	if (known)
		emitter_number(e, key, value, unit, help);
	else
		emitter_unknown(e, key, "this kernel has no tracepoint for it");
}

static void emit_events(struct emitter *e, const struct event_counts *c)
{
	emit_count(e, "split", c->splits_known, c->splits, "huge mappings", "broken");
	emit_count(e, "freed_whole", c->splits_known, c->whole_frees, "huge pages", "freed whole");
	if (c->lost)
		emitter_number(e, "lost", c->lost, "records", "of these two: they came too fast");
	emit_count(e, "collapsed", c->collapses_known, c->collapses, "units",
	           "made huge by a call");
	emit_count(e, "allocated", c->allocations_known, c->allocations, "blocks",
	           "allocated of a huge page's size");
}

/* Frames in the order of folded stacks would hide the innermost one: so it stays first. */
static void emit_stacks(struct emitter *e, const struct stack_row *rows, size_t count)
{
	emitter_open_table(e, "stacks", "");
	for (size_t i = 0; i < count; i++) {
		emitter_open_row(e);
		emitter_number(e, "splits", rows[i].count, "", "");
		emitter_string(e, "frames", rows[i].frames, "");
		emitter_close_row(e);
	}
	emitter_close_table(e);
}

static void print_stacks(int fd, const struct stack_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *rest = text("%s", rows[i].frames), *frame;

		dprintf(fd, "\n%lu of the splits came from\n", (unsigned long)rows[i].count);
		while ((frame = strsep(&rest, ";")))
			dprintf(fd, "    %.75s\n", frame_text(frame, true));
	}
}

static void emit(const struct request *r, int fd, struct events *v, int status)
{
	const struct stack_row *rows = NULL;
	size_t count = v->stacks ? stacks_rows(v->stacks, &rows) : 0;
	struct emitter e;
	int error;

	emitter_start(&e, fd, r->json ? EMITTER_JSON : EMITTER_TEXT,
	              "unsplit: what the kernel did for this command and its children");
	emitter_number(&e, "version", TRACE_VERSION, "", "of this format");
	emitter_string(&e, "command", *r->command, "");
	emitter_number(&e, "status", (uint64_t)status, "", "at its exit");
	emitter_open_object(&e, "events", "Huge pages");
	emit_events(&e, events_counts(v));
	emitter_close_object(&e);
	if (r->json && v->stacks)
		emit_stacks(&e, rows, count);
	error = emitter_finish(&e);
	if (error)
		say("the counts cannot be written: %s", strerror(error));
	if (!r->json)
		print_stacks(fd, rows, count);
}

static int trace(const struct request *r, struct events *v)
{
	struct child child;
	struct output o;
	int status;

	if (r->output && !output_open(&o, r->output))
		return 1;
	status = child_start(&child, r->command, prepare, v);
	if (status) {
		if (r->output)
			output_close(&o, false);
		return status;
	}
	events_follow(v, child.pid);
	status = child_end(&child);
	emit(r, r->output ? fileno(o.file) : STDERR_FILENO, v, status);
	if (r->output && !output_close(&o, true) && !status)
		return 1;
	return status;
}

static bool parse(struct request *r, char **args)
{
	const struct flag flags[] = {{"--json", &r->json, NULL},
	                             {"--stacks", &r->stacks, NULL},
	                             {"-o", NULL, &r->output}};

	r->command = take_flags("trace", args, flags, sizeof(flags) / sizeof(flags[0]), true);
	if (!r->command)
		return false;
	if (!*r->command)
		say("trace needs a command; \"unsplit help trace\" tells more");
	if (r->stacks && !stacks_possible()) {
		say("trace: option --stacks: stacks cannot be had on this kind of processor");
		return false;
	}
	return *r->command != NULL;
}

static int trace_main(char **args)
{
	struct request r = {.json = false};
	struct events events = {0};

	if (!parse(&r, args))
		return EXIT_USAGE;
	machine_init();
	if (r.stacks)
		events.stacks = stacks_new();
	return events_find(&events) ? trace(&r, &events) : 1;
}

const struct command trace_command = {
	.name = "trace",
	.summary = "count the splits and collapses of huge pages that a command causes",
	.usage = "Usage: unsplit trace [--stacks] [--json] [-o FILE] [--] COMMAND [ARGUMENT...]\n"
		 "\n"
		 "Start COMMAND and count, by tracepoints, what the kernel does to the huge pages\n"
		 "of it and of its children: not of the whole machine, as /proc/vmstat does.\n"
		 "Needs root (or CAP_PERFMON) and tracefs.  COMMAND is started as it is; for\n"
		 "ours:\n"
		 "\n"
		 "  unsplit trace -- unsplit run -- COMMAND\n"
		 "\n"
		 "  split        huge mappings that were broken.  Splits by MADV_COLD, as we do\n"
		 "               them on purpose, are not seen (see demoted_units of the report\n"
		 "               for them), nor is a mapping as long as another process, after a\n"
		 "               fork, still maps the huge page whole\n"
		 "  freed_whole  huge pages freed as a whole while it ran; those of its exit are\n"
		 "               not seen\n"
		 "  collapsed    units that a call of the program made huge; khugepaged's are not\n"
		 "               the program's\n"
		 "  allocated    blocks of memory of a huge page's size\n"
		 "\n"
		 "  --stacks     also show the call stacks that split, by function; for lines\n"
		 "               debug information is needed\n"
		 "  --json       JSON; frames of stacks as the file and the address in it\n"
		 "  -o FILE      write to FILE and not to standard error\n"
		 "\n"
		 "The exit status is the command's (128 and more: it was ended by a signal), 127\n"
		 "if it is not found, 126 if it cannot be executed; 1 if events cannot be\n"
		 "watched, and then it is not started; 2 on wrong usage.\n",
	.main = trace_main,
};
