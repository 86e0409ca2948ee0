/* learn.c: `unsplit learn`: from what a program does with its memory to a file of rules. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/learnt.h"
#include "cli/trial.h"
#include "cli/verdict.h"
#include "kernel/kernel.h"
#include "kernel/say.h"

struct wish {
	const char *rules, *profile; /* where to; NULL: not asked for */
	bool merge;
	char **rest; /* the command, or the profiles */
};

/* 1 if `args` starts with an option that takes a file, 0 if not, -1 if the file is missing.  Moves
 * `args` to the last argument that belongs to it. */
static int take_file(char ***args, const char *name, const char **file)
{
	size_t length = strlen(name);

	if (strncmp(**args, name, length) == 0 && (**args)[length] == '=') {
		*file = **args + length + 1;
		return 1;
	}
	if (strcmp(**args, name) != 0)
		return 0;
	if (!(*args)[1]) {
		say("option %s has no value, which would be the path of a file", name);
		return -1;
	}
	*file = *++*args;
	return 1;
}

static bool parse(struct wish *w, char **args)
{
	for (; *args && **args == '-'; args++) {
		int taken;

		if (strcmp(*args, "--") == 0) {
			args++;
			break;
		}
		if (strcmp(*args, "--merge") == 0) {
			w->merge = true;
			continue;
		}
		taken = take_file(&args, "-o", &w->rules);
		if (!taken)
			taken = take_file(&args, "--profile", &w->profile);
		if (!taken)
			say("option \"%s\" is not known; learn has -o, --profile and --merge",
			    *args);
		if (taken <= 0)
			return false;
	}
	w->rest = args;
	if (!*args)
		say("learn needs a command, or --merge and profiles; \"unsplit help learn\" tells "
		    "more");
	else if (!w->rules && !w->profile)
		say("learn needs -o FILE, where the rules are written to, or --profile FILE");
	return *args && (w->rules || w->profile);
}

/* ---- what there is to learn from ---- */

static void take_profile(FILE *profile, void *context)
{
	learnt_add(context, profile);
}

static int learn_by_running(struct learnt *l, char **command)
{
	struct trial t;

	if (!trial_open(&t))
		return EXIT_USAGE;
	t.options[0] = text("--learn=%s/%%p.json", t.directory);
	trial_run(&t, command);
	trial_close(&t, take_profile, l);
	if (!l->profiles)
		say("no process left a profile: \"%s\" ended without one, or nothing can be "
		    "preloaded into it",
		    *command);
	return t.status;
}

static bool merge_one(struct learnt *l, const char *path)
{
	FILE *profile = fopen(path, "re");
	bool taken;

	if (!profile) {
		say("%s: %s", path, strerror(errno));
		return false;
	}
	taken = learnt_add(l, profile);
	fclose(profile);
	if (!taken)
		say("%s is no profile that this version of \"unsplit learn --profile\" wrote",
		    path);
	return taken;
}

static int learn_from_profiles(struct learnt *l, char **paths)
{
	for (; *paths; paths++)
		if (!merge_one(l, *paths))
			return EXIT_USAGE;
	return 0;
}

/* ---- what comes out ---- */

static bool cannot_write(const char *path, int error)
{
	say("%s cannot be written: %s", path, strerror(error));
	return false;
}

static bool write_profile(const struct learnt *l, const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644), error;

	if (fd < 0)
		return cannot_write(path, errno);
	error = learnt_write(l, fd);
	close(fd);
	return error ? cannot_write(path, error) : true;
}

static bool write_rules(struct learnt *l, const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	bool bad;

	if (!file)
		return cannot_write(path, errno);
	verdicts_write(l, file);
	bad = fflush(file) != 0 || ferror(file);
	if (file != stdout)
		fclose(file);
	return bad ? cannot_write(path, EIO) : true;
}

static int learn_main(char **args)
{
	struct wish w = {0};
	struct learnt l = {0};
	int status;

	machine_init();
	if (!parse(&w, args))
		return EXIT_USAGE;
	status = w.merge ? learn_from_profiles(&l, w.rest) : learn_by_running(&l, w.rest);
	if (!l.profiles || (w.merge && status))
		return status ? status : 1;
	if (w.profile && !write_profile(&l, w.profile))
		return 1;
	if (w.rules && !write_rules(&l, w.rules))
		return 1;
	return status;
}

#define TEXT_(number)   #number
#define TEXT(number)    TEXT_(number)
#define PERCENT(number) TEXT(number) " %"

const struct command learn_command = {
	.name = "learn",
	.summary = "run a program and write a file of rules for its call sites",
	.usage =
		"Usage: unsplit learn -o FILE [--profile FILE] [--] COMMAND [ARGUMENT...]\n"
		"\n"
		"Usage: unsplit learn -o FILE [--profile FILE] --merge PROFILE...\n"
		"\n"
		"Run COMMAND on base pages and measure, for each call site that asks for blocks\n"
		"of 64 KiB or more: how many bytes, how long they live, and how many of their\n"
		"pages are touched in each 2 MiB that would be a huge page.  Then write rules for\n"
		"`unsplit run --rules=FILE`, each with what was measured.  The status is that of\n"
		"COMMAND.  Of a process that a signal ends counts what it had done a second "
                "before.\n"
		"What the program itself gave back (MADV_DONTNEED) counts as not touched.\n"
		"\n"
		"  -o FILE\n"
		"      where the rules go; \"-\" is standard output\n"
		"  --profile FILE\n"
		"      also write what was measured, for --merge\n"
		"  --merge\n"
		"      run nothing: put together the profiles of several runs or hosts, by site\n"
		"\n"
		"A site gets\n"
		"\n"
		"  pages = huge\n"
		"      if at least " PERCENT(
			DENSE_PERCENT) " of the pages are touched, and its "
				       "blocks live long: on\n"
				       "      average " PERCENT(
					       LONG_PERCENT) " of the run, or a second\n"
							     "  pages = base\n"
							     "      if less than " PERCENT(
								     SPARSE_PERCENT) " are "
										     "touched, and "
										     "huge pages "
										     "would waste\n"
										     "      " TEXT(
											     WASTE_MIB) " MiB at least\n"
													"  no rule\n"
													"      otherwise, but a comment; and none at all if it never had 2 MiB at once\n",
	.main = learn_main,
};
