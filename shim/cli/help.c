/* help.c: help texts, among them the one that is made of the option table. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/say.h"
#include "options.h"

char *text(const char *format, ...)
{
	char *result;
	va_list args;

	va_start(args, format);
	if (vasprintf(&result, format, args) < 0)
		die("out of memory");
	va_end(args);
	return result;
}

void print_wrapped(const char *label, int indent, const char *words)
{
	enum { WIDTH = 78 };
	int column = printf("%-*s", indent, label);

	while (*words) {
		int n = (int)strcspn(words, " ");

		if (column > indent && column + 1 + n > WIDTH) {
			putchar('\n');
			column = printf("%*s", indent, "");
		}
		column += printf("%s%.*s", column > indent ? " " : "", n, words);
		words += n;
		words += strspn(words, " ");
	}
	putchar('\n');
}

static void print_option(const char *prefix, const struct option_row *row,
                         const struct options *defaults)
{
	char accepts[128], value[256];

	option_accepts(row, accepts, sizeof(accepts));
	option_show(row, defaults, value, sizeof(value));
	printf("  %s%s\n", prefix, row->name);
	print_wrapped("", 6, row->help);
	print_wrapped("", 6, text("(%s; default %s)", accepts, value));
}

void print_options(const char *prefix)
{
	struct options defaults;

	options_default(&defaults);
	for (size_t i = 0; i < option_count; i++)
		print_option(prefix, &option_rows[i], &defaults);
}

int print_usage(const struct command *c)
{
	fputs(c->usage, stdout);
	if (c->lists_options) {
		puts("\nOptions of the library (\"-\" may be written for \"_\"):\n");
		print_options("--");
	}
	return 0;
}
