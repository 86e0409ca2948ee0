/*
 * cli.h: the command `unsplit`: what its parts share.
 *
 * The command links nothing of the preloaded object but its core (options, kernel access), so that
 * it works where the object itself does not load.  It says what went wrong with say(), one line on
 * stderr; what was asked for goes to stdout.
 */
#ifndef UNSPLIT_CLI_CLI_H
#define UNSPLIT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses beside 0 and 1; the last two are those of env(1) and the shells. */
enum { EXIT_USAGE = 2, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* One subcommand.  `main` gets the arguments behind its name, ended by NULL, and returns the exit
 * status. */
struct command {
	const char *name;
	const char *summary; /* one line for `unsplit --help` */
	const char *usage;   /* the text of `unsplit help NAME` */
	bool lists_options;  /* the table of options is printed below it */
	int (*main)(char **args);
};

extern const struct command run_command, check_command, learn_command, doctor_command, stat_command,
	top_command, report_command, record_command, plot_command, trace_command;
/* All of them, ended by NULL. */
extern const struct command *const commands[];

/* Print the help of one subcommand; returns the exit status. */
int print_usage(const struct command *c);
/* Print the option table, each name after `prefix`. */
void print_options(const char *prefix);

/* `unsplit --document TABLE`, for the build: args[0] is the table.  Returns the exit status. */
int document_main(char **args);

/* Print `label` and, in lines of at most 78 columns that start in column `indent`, `words`. */
void print_wrapped(const char *label, int indent, const char *words);

/* asprintf() that never fails; a command-line tool without memory can only give up. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* preload.c */

/* What to put into LD_PRELOAD: `wanted` (may be NULL; made absolute if it is a relative path), else
 * the library that belongs to this command: beside it in a build tree, in ../lib when installed,
 * else the bare soname.  NULL, and a line on stderr, if it cannot be read or named there. */
char *preload_library(const char *wanted);
/* `library` (NULL for none) in front of the entries of `old` (an LD_PRELOAD value, may be NULL)
 * without those that are this library already. */
char *preload_merge(const char *library, const char *old);

#endif
