/* run.c: `unsplit run`: start a program with the library preloaded. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/target.h"
#include "kernel/say.h"
#include "options.h"

/* What the command line asks for. */
struct request {
	const char *library; /* NULL: find it */
	char *conf;          /* "key:value,..." */
	bool dry_run;
	char **command;
};

static bool is_switch(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].type == OPTION_BOOL && strcmp(option_rows[i].name, name) == 0)
			return true;
	return false;
}

/* The path of a rule file from the root on: children of the program may stand elsewhere.  A file
 * that is not there is left for the library to tell of. */
static const char *from_root(const char *path)
{
	const char *absolute = strcmp(path, "off") == 0 ? NULL : realpath(path, NULL);

	return absolute ? absolute : path;
}

/* "key=value", "key-with-dashes=value" or, for a switch, "key". */
static bool take_option(struct request *r, const char *arg)
{
	char *name = text("%s", arg), *equals = strchr(name, '=');
	const char *value = equals ? equals + 1 : NULL;
	char mistake[768];
	struct options unused;

	if (equals)
		*equals = '\0';
	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	if (!value && is_switch(name))
		value = "on";
	if (value && strcmp(name, "rules") == 0)
		value = from_root(value);
	options_default(&unused);
	if (!options_set(&unused, name, value, mistake, sizeof(mistake))) {
		say("%s", mistake);
		return false;
	}
	r->conf = text("%s%s%s:%s", r->conf, *r->conf ? "," : "", name, value);
	return true;
}

/* The options of `run` itself, which are not in the table: 1 if `args` starts with one, 0 if not,
 * -1 if it is wrong.  Moves `args` to the last argument that belongs to it. */
static int take_own_option(struct request *r, char ***args)
{
	const char *arg = **args;

	if (strcmp(arg, "--dry-run") == 0) {
		r->dry_run = true;
		return 1;
	}
	if (strncmp(arg, "--lib=", 6) == 0) {
		r->library = arg + 6;
		return 1;
	}
	if (strcmp(arg, "--lib") != 0)
		return 0;
	if (!(*args)[1]) {
		say("option --lib has no value, which would be the path of a library");
		return -1;
	}
	r->library = *++*args;
	return 1;
}

/* True if `args` is understood; then a command follows. */
static bool parse(struct request *r, char **args)
{
	for (; *args && **args == '-'; args++) {
		int own;

		if (strcmp(*args, "--") == 0) {
			args++;
			break;
		}
		own = take_own_option(r, &args);
		if (own < 0)
			return false;
		if (own)
			continue;
		if (strncmp(*args, "--", 2) != 0) {
			say("option \"%s\" is not known; options start with \"--\"", *args);
			return false;
		}
		if (!take_option(r, *args + 2))
			return false;
	}
	r->command = args;
	if (!*args)
		say("run needs a command; \"unsplit help run\" tells more");
	return *args != NULL;
}

/* The environment that the program gets; empty for a variable it shall not have. */
struct preparation {
	char *preload, *conf;
};

static bool prepare(const struct request *r, struct preparation *p)
{
	char path[PATH_MAX];
	enum target target = TARGET_FITS;
	const char *inherited = getenv("UNSPLIT_CONF");
	char *library = preload_library(r->library);

	if (!library)
		return false;
	if (target_find(*r->command, path, sizeof(path)) == 0)
		target = target_inspect(path);
	if (target == TARGET_SANITIZED)
		say("%s %s; it runs without us", *r->command, target_obstacle(target));
	else if (target != TARGET_FITS)
		say("%s %s; it runs as it is", *r->command, target_obstacle(target));
	p->preload =
		preload_merge(target == TARGET_SANITIZED ? NULL : library, getenv("LD_PRELOAD"));
	/* The parser takes the later of two values, so what is asked for here wins. */
	p->conf = text("%s%s%s", inherited ? inherited : "",
	               inherited && *inherited && *r->conf ? "," : "", r->conf);
	return true;
}

/* Print `word` so that a shell reads it as one word. */
static void print_quoted(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_@%+=:,./-";

	if (*word && !word[strspn(word, plain)]) {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*word);
	}
	putchar('\'');
}

static void print_variable(const char *name, const char *value)
{
	if (!*value)
		return;
	printf(" %s=", name);
	print_quoted(value);
}

static void print_command(const struct preparation *p, char **command)
{
	fputs("env", stdout);
	if (!*p->preload && getenv("LD_PRELOAD"))
		fputs(" -u LD_PRELOAD", stdout);
	print_variable("LD_PRELOAD", p->preload);
	print_variable("UNSPLIT_CONF", p->conf);
	for (; *command; command++) {
		putchar(' ');
		print_quoted(*command);
	}
	putchar('\n');
}

static void set_variable(const char *name, const char *value)
{
	if (*value ? setenv(name, value, 1) : unsetenv(name))
		die("cannot set %s: %s", name, strerror(errno));
}

/* Returns only if the program cannot be started: its exit status is ours otherwise. */
static int start(const struct preparation *p, char **command)
{
	char path[PATH_MAX];
	int error;

	set_variable("LD_PRELOAD", p->preload);
	set_variable("UNSPLIT_CONF", p->conf);
	execvp(*command, command);
	error = errno;
	/* It may only have met a directory in PATH that it may not search. */
	if (error == EACCES)
		error = target_find(*command, path, sizeof(path));
	if (error == ENOENT) {
		say("\"%s\" is not found", *command);
		return EXIT_NOT_FOUND;
	}
	say("\"%s\" cannot be executed: %s", *command, strerror(error ? error : EACCES));
	return EXIT_NOT_EXECUTABLE;
}

static int run_main(char **args)
{
	struct request r = {.conf = text("%s", "")};
	struct preparation p;

	if (!parse(&r, args) || !prepare(&r, &p))
		return EXIT_USAGE;
	if (!r.dry_run)
		return start(&p, r.command);
	print_command(&p, r.command);
	return 0;
}

const struct command run_command = {
	.name = "run",
	.summary = "start a program with its heap on whole huge pages",
	.usage = "Usage: unsplit run [OPTION...] [--] COMMAND [ARGUMENT...]\n"
		 "\n"
		 "Start COMMAND with the library preloaded.  Its exit status is kept; it is 127\n"
		 "if COMMAND is not found, 126 if it cannot be executed, 2 if an option is wrong.\n"
		 "Options go into UNSPLIT_CONF, behind what is there already: the later one wins.\n"
		 "\n"
		 "  --lib PATH\n"
		 "      preload this library instead of the one that belongs to this command\n"
		 "  --dry-run\n"
		 "      print the command line that does the same, and start nothing\n",
	.lists_options = true,
	.main = run_main,
};
