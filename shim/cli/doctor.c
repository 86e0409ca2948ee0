/* doctor.c: `unsplit doctor`: can this machine give huge pages and, if not, what to change. */
#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/check.h"
#include "cli/target.h"
#include "kernel/say.h"

/* In the order of what decides most: the first thing that is wrong is the one to change. */
static struct check (*const checks[])(const struct host *h) = {
	check_size,   check_mode,          check_process_flag, check_free_blocks, check_defrag,
	check_cgroup, check_address_space, check_overcommit,   check_khugepaged,
};

/* What was found so far. */
struct findings {
	struct check first_bad, first_warning; /* CHECK_SILENT: none */
};

static void print_check(const struct check *c)
{
	static const char *const labels[] = {
		[CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_BAD] = "BAD"};

	print_wrapped(labels[c->verdict], 6, c->text);
	if (c->remedy) /* in one line, so that it can be copied */
		printf("      change: %s\n", c->remedy);
}

static void take(struct findings *f, struct check c)
{
	if (c.verdict == CHECK_SILENT)
		return;
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

static int conclude(const struct findings *f)
{
	putchar('\n');
	if (f->first_bad.verdict == CHECK_SILENT) {
		puts("Huge pages will be given.");
		return 0;
	}
	print_wrapped("", 0, text("Huge pages will NOT be given: %s.", f->first_bad.text));
	printf("The one thing to change: %s\n", the_one_change(f));
	return 1;
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
};

static bool parse(struct request *r, char **args)
{
	/* --root is for the tests: a tree that stands for /sys and /proc of another machine. */
	if (*args && strcmp(*args, "--root") == 0 && args[1]) {
		r->root = args[1];
		args += 2;
	}
	if (*args && strcmp(*args, "--") == 0) {
		args++;
	} else if (*args && **args == '-') {
		say("doctor has no option \"%s\"; \"unsplit help doctor\" tells more", *args);
		return false;
	}
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
	return conclude(&f);
}

const struct command doctor_command = {
	.name = "doctor",
	.summary = "say whether this machine gives huge pages, and if not, why",
	.usage = "Usage: unsplit doctor [-- COMMAND [ARGUMENT...]]\n"
		 "\n"
		 "Look at the kernel's settings, at limits, and at what this process inherited;\n"
		 "then ask for some memory and see whether it is on huge pages.  With COMMAND,\n"
		 "also look whether a library can be preloaded into it (it is not started).\n"
		 "\n"
		 "The exit status is 0 if huge pages will be given, 1 if not, 2 on wrong usage.\n",
	.main = doctor_main,
};
