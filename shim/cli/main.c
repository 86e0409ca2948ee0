/* main.c: finds the subcommand. */
#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "kernel/say.h"
#include "options.h"

static int options_main(char **args)
{
	if (args[0]) {
		say("options takes no argument \"%s\"", args[0]);
		return EXIT_USAGE;
	}
	print_options("");
	return 0;
}

static int help_main(char **args);

static const struct command options_command = {
	.name = "options",
	.summary = "list every option with its values, its default and what it does",
	.usage = "Usage: unsplit options\n"
		 "\n"
		 "List every option.  Set them with `unsplit run --NAME=VALUE` or, for a program\n"
		 "that is started otherwise with UNSPLIT_CONF=NAME:VALUE,NAME:VALUE in its\n"
		 "environment.\n",
	.main = options_main,
};

static const struct command help_command = {
	.name = "help",
	.summary = "explain a subcommand",
	.usage = "Usage: unsplit help [SUBCOMMAND]\n",
	.main = help_main,
};

const struct command *const commands[] = {
	&run_command,  &check_command, &learn_command,   &doctor_command,
	&stat_command, &top_command,   &report_command,  &record_command,
	&plot_command, &trace_command, &options_command, &help_command,
	NULL,
};

static int print_overview(void)
{
	puts("Usage: unsplit SUBCOMMAND [ARGUMENT...]\n"
	     "\n"
	     "Huge pages for unmodified programs, and never a broken one.\n");
	for (const struct command *const *c = commands; *c; c++)
		printf("  %-10s%s\n", (*c)->name, (*c)->summary);
	puts("\n\"unsplit help SUBCOMMAND\" tells more.  The first things to try:\n"
	     "\n"
	     "  unsplit doctor\n"
	     "  unsplit run --report=stderr -- python3 -c 'x = list(range(10**7))'");
	return 0;
}

static int print_version(void)
{
	puts("unsplit " UNSPLIT_VERSION);
	return 0;
}

static const struct command *find_command(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *nearest = NULL;
	unsigned best = UINT_MAX;

	for (const struct command *const *c = commands; *c; c++) {
		unsigned distance = typing_distance(name, (*c)->name);

		if (distance < best) {
			best = distance;
			nearest = (*c)->name;
		}
	}
	if (nearest)
		say("subcommand \"%s\" is not known; did you mean \"%s\"?", name, nearest);
	else
		say("subcommand \"%s\" is not known; \"unsplit --help\" lists all", name);
	return EXIT_USAGE;
}

static int help_main(char **args)
{
	const struct command *c;

	if (!args[0])
		return print_overview();
	c = find_command(args[0]);
	return c ? print_usage(c) : unknown_command(args[0]);
}

static bool is_help(const char *arg)
{
	return arg && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0);
}

static int dispatch(char **args)
{
	const struct command *c;

	if (!args[0]) {
		say("no subcommand given; \"unsplit --help\" lists them");
		return EXIT_USAGE;
	}
	if (is_help(args[0]))
		return print_overview();
	if (strcmp(args[0], "--version") == 0)
		return print_version();
	if (strcmp(args[0], "--document") == 0)
		return document_main(args + 1);
	c = find_command(args[0]);
	if (!c)
		return unknown_command(args[0]);
	return is_help(args[1]) ? print_usage(c) : c->main(args + 1);
}

int main(int argc, char **argv)
{
	int status = dispatch(argc ? argv + 1 : argv);

	/* A full disk or a closed pipe must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		say("cannot write to standard output");
		return status ? status : 1;
	}
	return status;
}
