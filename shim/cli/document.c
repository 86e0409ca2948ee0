/*
 * document.c: what the tables say, in the form that the man pages and the completion are made of.
 *
 * `unsplit --document TABLE` is called by the build (cli/man/generate.cmake), not by users: so no
 * page can list an option or a command that does not exist, or miss one that does.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "kernel/say.h"
#include "options.h"

/* ---- roff ---- */

/* A dash must stay one that can be copied into a shell; a point or an apostrophe at the start of a
 * line would be a request. */
static void print_roff(const char *from, const char *end)
{
	if (from < end && (*from == '.' || *from == '\''))
		fputs("\\&", stdout);
	for (; from < end; from++) {
		if (*from == '\\')
			fputs("\\e", stdout);
		else if (*from == '-')
			fputs("\\-", stdout);
		else
			putchar(*from);
	}
}

static void print_roff_line(const char *macro, const char *from, const char *end)
{
	fputs(macro, stdout);
	print_roff(from, end);
	putchar('\n');
}

static const char *end_of(const char *words)
{
	return words + strlen(words);
}

/* A phrase of the tables as a sentence. */
static void print_sentence(const char *phrase)
{
	printf("%c", toupper((unsigned char)*phrase));
	print_roff(phrase + 1, end_of(phrase));
	puts(".");
}

/* ---- commands ---- */

static const char *skip_blanks(const char *from, const char *end)
{
	while (from < end && *from == ' ')
		from++;
	return from;
}

/* One line of a usage text.  How far it is indented says what it is (run.c has all kinds):
 * paragraphs are not, what the command takes is by two blanks, and what that means by more. */
static void print_usage_line(const char *line, const char *end)
{
	static const char usage[] = "Usage: ";
	const char *start = skip_blanks(line, end);

	if (start == end)
		puts(".PP");
	else if (strncmp(line, usage, sizeof(usage) - 1) == 0)
		print_roff_line(".B ", line + sizeof(usage) - 1, end);
	else if (start - line == 2)
		print_roff_line(".TP\n.B ", start, end);
	else
		print_roff_line("", start, end);
}

static void print_command(const struct command *c)
{
	const char *line = c->usage;

	printf(".SS %s\n", c->name);
	while (*line) {
		const char *end = line + strcspn(line, "\n");

		print_usage_line(line, end);
		line = *end ? end + 1 : end;
	}
	if (c->lists_options)
		puts(".PP\nThe options of the library are those of\n.BR unsplit.conf (5).");
}

static void document_commands(void)
{
	for (const struct command *const *c = commands; *c; c++)
		print_command(*c);
}

/* ---- options ---- */

static void print_option(const struct option_row *row, const struct options *defaults)
{
	char accepts[128], value[256];

	option_accepts(row, accepts, sizeof(accepts));
	option_show(row, defaults, value, sizeof(value));
	printf(".TP\n.B %s\n", row->name);
	print_sentence(row->help);
	puts(".br");
	print_sentence(text("values: %s; default %s", accepts, value));
	if (option_is_live(row))
		puts("May be changed while the program runs.");
}

static void document_options(void)
{
	struct options defaults;

	options_default(&defaults);
	for (size_t i = 0; i < option_count; i++)
		print_option(&option_rows[i], &defaults);
}

/* ---- statistics ---- */

static void document_statistics(void)
{
#define STAT(name, unit, help)                                                                     \
	puts(".TP\n.B " #name);                                                                    \
	print_sentence(unit " " help);
#include "report/stats.def"
}

/* ---- completion ---- */

/* The words of a usage text that are options: "--lib", but not "--NAME". */
static void print_switches(const char *usage)
{
	while ((usage = strstr(usage, "--"))) {
		size_t length = strspn(usage + 2, "abcdefghijklmnopqrstuvwxyz-");

		if (length && usage[2] != '-')
			printf(" %.*s", (int)length + 2, usage);
		usage += 2 + length;
	}
}

static void print_values(const struct option_row *row)
{
	if (row->type != OPTION_BOOL && row->type != OPTION_ENUM)
		return;
	printf("\t[%s]='", row->name);
	for (const char *p = row->type == OPTION_BOOL ? "on|off" : row->words; *p; p++)
		putchar(*p == '|' ? ' ' : *p);
	puts("'");
}

/* bash-completion reads the file inside a function, where a plain declare would be local. */
static void document_completion(void)
{
	fputs("declare -gA _unsplit_switches=(\n", stdout);
	for (const struct command *const *c = commands; *c; c++) {
		printf("\t[%s]='", (*c)->name);
		print_switches((*c)->usage);
		puts(" --help'");
	}
	fputs(")\n_unsplit_commands='", stdout);
	for (const struct command *const *c = commands; *c; c++)
		printf(" %s", (*c)->name);
	fputs("'\n_unsplit_options='", stdout);
	for (size_t i = 0; i < option_count; i++)
		printf(" %s", option_rows[i].name);
	fputs("'\ndeclare -gA _unsplit_values=(\n", stdout);
	for (size_t i = 0; i < option_count; i++)
		print_values(&option_rows[i]);
	puts(")");
}

/* ---- the tables ---- */

static const struct table {
	const char *name;
	void (*print)(void);
} tables[] = {
	{"commands", document_commands},
	{"options", document_options},
	{"statistics", document_statistics},
	{"completion", document_completion},
};

int document_main(char **args)
{
	for (size_t i = 0; args[0] && i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (strcmp(args[0], tables[i].name) == 0) {
			tables[i].print();
			return 0;
		}
	}
	say("--document takes commands, options, statistics or completion");
	return EXIT_USAGE;
}
