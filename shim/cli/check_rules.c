/* check_rules.c: `unsplit check`: is a rule file right, and what do its rules decide? */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check.h"
#include "cli/trial.h"
#include "kernel/say.h"
#include "site/rules.h"
#include "site/rules_keys.h"

static struct rules rules;

static void complain(const char *line)
{
	say("%s", line);
}

/* Print what is given of the matches, or of the settings, as "key = value, ..."; `nothing` if
 * there is none. */
static void print_keys(const struct rule *rule, bool matches, const char *nothing)
{
	bool any = false;
	char value[320];

	for (size_t i = 0; i < RULE_KEYS; i++) {
		if (!(rule->given >> i & 1) || (rule_keys[i].needs != 0) != matches)
			continue;
		rule_key_show(&rule_keys[i], rule, value, sizeof(value));
		printf("%s%s = %s", any ? ", " : "", rule_keys[i].name, value);
		any = true;
	}
	if (!any)
		fputs(nothing, stdout);
}

/* How wide the column of titles is. */
static int title_width(void)
{
	size_t width = strlen("RULE");

	for (size_t i = 0; i < rules.count; i++)
		if (strlen(rules.rule[i].title) > width)
			width = strlen(rules.rule[i].title);
	return (int)width;
}

static void print_rules(void)
{
	int width = title_width();

	printf("%5s  %-*s  WHAT IS UNDERSTOOD\n", "LINE", width, "RULE");
	for (const struct rule *r = rules.rule; r < rules.rule + rules.count; r++) {
		printf("%5u  %-*s  ", r->line, width, r->title);
		print_keys(r, true, rule_is_plan(r) ? "when asked for by name" : "always");
		fputs(": ", stdout);
		print_keys(r, false, "nothing is changed");
		putchar('\n');
	}
}

static bool holds_always(const struct rule *rule)
{
	for (size_t i = 0; i < RULE_KEYS; i++)
		if (rule->given >> i & 1 && rule_keys[i].needs)
			return false;
	return !rule_is_plan(rule);
}

/* No mistake, since it does no harm; but nobody means it. */
static void warn_of_unreachable(const char *file)
{
	const struct rule *last = rules.rule + rules.count, *r = rules.rule;

	while (r < last && !holds_always(r))
		r++;
	if (r + 1 < last)
		say("%s:%u: the rules below \"%s\" are never tried, because it holds always", file,
		    r->line, r->title);
}

static void print_decided(const struct trial_count *counts, unsigned processes)
{
	int width = title_width();

	printf("What the rules decided in %u process%s:\n", processes, processes == 1 ? "" : "es");
	printf("%5s  %-*s  %12s  %12s\n", "LINE", width, "RULE", "REQUESTS", "IN ALL");
	for (size_t i = 0; i < rules.count; i++)
		printf("%5u  %-*s  %12lu  %12s\n", rules.rule[i].line, width, rules.rule[i].title,
		       (unsigned long)counts[i].requests, bytes_text(counts[i].bytes));
	for (size_t i = 0; i < rules.count; i++)
		if (!counts[i].requests && !rule_is_plan(&rules.rule[i]))
			printf("Rule \"%s\" decided nothing.\n", rules.rule[i].title);
}

/* Run the command under the rules of `file`; returns its exit status. */
static int try_rules(const char *file, char **command)
{
	struct trial_count counts[RULES_MAX] = {{0, 0}};
	struct trial t;

	if (!trial_start(&t, file))
		return EXIT_USAGE;
	trial_run(&t, command);
	trial_collect(&t, &rules, counts);
	if (!t.processes)
		say("no process left a report: \"%s\" ended without one, or nothing can be "
		    "preloaded into it",
		    *command);
	else
		print_decided(counts, t.processes);
	return t.status;
}

/* What stands behind the file: "[--] COMMAND...", or nothing.  NULL, and a line on stderr, if it is
 * something else. */
static char **command_in(char **args)
{
	if (!*args || **args != '-')
		return args;
	if (strcmp(*args, "--") == 0)
		return args + 1;
	say("option \"%s\" is not known; check has none", *args);
	return NULL;
}

static int check_main(char **args)
{
	static char contents[RULES_TEXT_MAX + 2];
	const char *file = args[0];

	if (!file || file[0] == '-') {
		say("check needs a rule file; \"unsplit help check\" tells more");
		return EXIT_USAGE;
	}
	args = command_in(args + 1);
	if (!args || rules_read(&rules, file, contents, complain))
		return EXIT_USAGE;
	if (!rules.count) {
		say("%s has no rules", file);
		return 0;
	}
	warn_of_unreachable(file);
	if (*args)
		return try_rules(file, args);
	print_rules();
	return 0;
}

const struct command check_command = {
	.name = "check",
	.summary = "check a file of rules for call sites, and try it on a command",
	.usage = "Usage: unsplit check FILE [[--] COMMAND [ARGUMENT...]]\n"
		 "\n"
		 "Read the rule file and print each rule as it is understood.  The status is 2 if\n"
		 "something is wrong, each mistake being told as FILE:LINE:COLUMN.\n"
		 "With a COMMAND, run it under the rules instead, and say what each rule decided\n"
		 "in it and in the processes that it started (of one that a signal ends, until a\n"
		 "second before); the status is the command's.  Give\n"
		 "the file to other programs by `unsplit run --rules=FILE`.\n"
		 "\n"
		 "A rule file looks like this:\n"
		 "\n"
		 "  # Comments start with \"#\" or \";\".\n"
		 "  [site hot-table]\n"
		 "  function = Table::grow\n"
		 "  size     = >=1M\n"
		 "  pages    = huge\n"
		 "\n"
		 "The first rule of which all matches hold decides alone.  A section [plan NAME]\n"
		 "has settings only, for programs that ask for it by name: see libunsplit(3).\n"
		 "Matches, where GLOB may have *, ? and [a-z]:\n"
		 "\n"
		 "  function = GLOB     any function of the call stack; without \"(\", neither\n"
		 "                      parameters nor return type need be given\n"
		 "  caller = GLOB       the innermost function outside the C and C++ libraries\n"
		 "  module = GLOB       the file that this function is in, such as libfoo.so.2\n"
		 "  size = SIZE         >=1M, >1M, <=64K, <64K, 1M..4M or 64K\n"
		 "  kind = KIND,...     malloc, mmap, shared\n"
		 "  thread = GLOB       the name of the thread\n"
		 "  site = HASH         the 16 hex digits that reports show\n"
		 "\n"
		 "Settings:\n"
		 "\n"
		 "  pages = huge|base|default\n"
		 "  populate = on|off                       resident when it is handed out\n"
		 "  release = keep|balanced|tight           how it goes back; with the option\n"
		 "                                          release:tight, balanced is tight\n"
		 "  heal = on|off                           make broken huge pages whole again\n"
		 "  node = local|interleave|N|preferred N   where it lies\n"
		 "  name = TEXT                             what the kernel calls it\n"
		 "  thp = system|advised|off                for the process, from then on\n",
	.main = check_main,
};
