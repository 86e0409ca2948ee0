/* doctor.c: `unsplit doctor`: can this machine give huge pages and, if not, what to change. */
#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/check.h"
#include "cli/flags.h"
#include "cli/host_nodes.h"
#include "cli/target.h"
#include "kernel/say.h"
#include "report/emitter.h"

/* Of the keys of --json and their meaning. */
enum { DOCTOR_VERSION = 1 };

/* In the order of what decides most: the first thing that is wrong is the one to change. */
static struct check (*const checks[])(const struct host *h) = {
	check_size,          check_mode,
	check_process_flag,  check_free_blocks,
	check_defrag,        check_cgroup,
	check_address_space, check_overcommit,
	check_khugepaged,    check_khugepaged_limits,
	check_other_sizes,   check_shared,
	check_zero_page,     check_underused,
	check_block_types,   check_nodes,
	check_pressure,
};

/* What was found so far. */
struct findings {
	struct check first_bad, first_warning; /* CHECK_SILENT: none */
	bool json;
	struct emitter emitter; /* of the JSON */
};

static void print_check(const struct check *c)
{
	static const char *const labels[] = {
		[CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_BAD] = "BAD"};

	print_wrapped(labels[c->verdict], 6, c->text);
	if (c->remedy) /* in one line, so that it can be copied */
		printf("      change: %s\n", c->remedy);
}

static void emit_or_null(struct emitter *e, const char *key, const char *value)
{
	if (value)
		emitter_string(e, key, value, "");
	else
		emitter_unknown(e, key, "");
}

static void emit_check(struct emitter *e, const struct check *c)
{
	static const char *const verdicts[] = {
		[CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_BAD] = "bad"};

	emitter_open_row(e);
	emitter_string(e, "verdict", verdicts[c->verdict], "");
	emitter_string(e, "text", c->text, "");
	emit_or_null(e, "change", c->remedy);
	emitter_close_row(e);
}

static void take(struct findings *f, struct check c)
{
	if (c.verdict == CHECK_SILENT)
		return;
	if (f->json)
		emit_check(&f->emitter, &c);
	else
		print_check(&c);
	if (c.verdict == CHECK_BAD && f->first_bad.verdict == CHECK_SILENT)
		f->first_bad = c;
	if (c.verdict == CHECK_WARN && f->first_warning.verdict == CHECK_SILENT)
		f->first_warning = c;
}

/* If only the trial failed, which knows no reason, a warning is the likeliest one. */
static const char *the_one_change(const struct findings *f)
{
	if (f->first_bad.remedy)
		return f->first_bad.remedy;
	if (f->first_warning.remedy)
		return f->first_warning.remedy;
	return "allow madvise(MADV_HUGEPAGE) in the seccomp filter, which is all that is left";
}

static void start(struct findings *f)
{
	if (!f->json)
		return;
	emitter_start(&f->emitter, STDOUT_FILENO, EMITTER_JSON, "");
	emitter_number(&f->emitter, "version", DOCTOR_VERSION, "", "");
	emitter_open_table(&f->emitter, "checks", "");
}

static bool all_is_well(const struct findings *f)
{
	return f->first_bad.verdict == CHECK_SILENT;
}

static void print_conclusion(const struct findings *f)
{
	putchar('\n');
	if (all_is_well(f)) {
		puts("Huge pages will be given.");
		return;
	}
	print_wrapped("", 0, text("Huge pages will NOT be given: %s.", f->first_bad.text));
	printf("The one thing to change: %s\n", the_one_change(f));
}

static void emit_nodes(struct emitter *e, const struct host *h)
{
	static struct host_node nodes[NODES_MOST];
	size_t count = host_nodes(h, nodes);

	emitter_open_table(e, "nodes", "");
	for (size_t i = 0; i < count; i++) {
		emitter_open_row(e);
		emitter_number(e, "node", nodes[i].number, "", "");
		emitter_number(e, "free", nodes[i].free, "bytes", "");
		emitter_number(e, "huge_pages_free", nodes[i].units, "", "");
		emitter_close_row(e);
	}
	emitter_close_table(e);
}

/* 0 or an errno value. */
static int emit_conclusion(struct findings *f, const struct host *h)
{
	struct emitter *e = &f->emitter;

	emitter_close_table(e);
	emit_nodes(e, h);
	emitter_number(e, "given", all_is_well(f), "", "");
	emit_or_null(e, "reason", all_is_well(f) ? NULL : f->first_bad.text);
	emit_or_null(e, "change", all_is_well(f) ? NULL : the_one_change(f));
	return emitter_finish(e);
}

static int conclude(struct findings *f, const struct host *h)
{
	int error = 0;

	if (f->json)
		error = emit_conclusion(f, h);
	else
		print_conclusion(f);
	if (error)
		say("cannot write to standard output: %s", strerror(error));
	return all_is_well(f) && !error ? 0 : 1;
}

static struct check check_target(const char *command, const char *path)
{
	enum target t = target_inspect(path);

	if (t == TARGET_FITS)
		return (struct check){CHECK_OK, text("%s %s", command, target_obstacle(t)), NULL};
	return (struct check){CHECK_BAD, text("%s %s", command, target_obstacle(t)),
	                      target_remedy(t)};
}

struct request {
	const char *root;    /* NULL: this machine */
	const char *command; /* NULL: none was named */
	char path[PATH_MAX]; /* where it is */
	bool json;
};

static bool parse(struct request *r, char **args)
{
	/* --root is for the tests: a tree that stands for /sys and /proc of another machine. */
	const struct flag flags[] = {{"--root", NULL, &r->root}, {"--json", &r->json, NULL}};

	args = take_flags("doctor", args, flags, sizeof(flags) / sizeof(flags[0]), true);
	if (!args)
		return false;
	r->command = *args;
	if (!r->command)
		return true;
	if (target_find(r->command, r->path, sizeof(r->path)) != 0) {
		say("\"%s\" is not found, or cannot be executed", r->command);
		return false;
	}
	return true;
}

static int doctor_main(char **args)
{
	struct request r = {0};
	struct findings f = {0};
	struct host h;

	if (!parse(&r, args))
		return EXIT_USAGE;
	f.json = r.json;
	start(&f);
	host_init(&h, r.root ? r.root : "");
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		take(&f, checks[i](&h));
	if (r.command)
		take(&f, check_target(r.command, r.path));
	if (!r.root)
		take(&f, check_features(&h));
	/* Another machine's files say nothing about this one, and where something is wrong already
	 * the trial could only be killed for exceeding a limit. */
	if (!r.root && f.first_bad.verdict == CHECK_SILENT)
		take(&f, check_given(&h));
	return conclude(&f, &h);
}

const struct command doctor_command = {
	.name = "doctor",
	.summary = "say whether this machine gives huge pages, and if not, why",
	.usage = "Usage: unsplit doctor [--json] [-- COMMAND [ARGUMENT...]]\n"
		 "\n"
		 "Look at the kernel's settings, at limits, and at what this process inherited;\n"
		 "then ask for some memory and see whether it is on huge pages.  With COMMAND,\n"
		 "also look whether a library can be preloaded into it (it is not started).\n"
		 "\n"
		 "  --json   JSON\n"
		 "\n"
		 "The exit status is 0 if huge pages will be given, 1 if not, 2 on wrong usage.\n",
	.main = doctor_main,
};
