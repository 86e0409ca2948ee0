/* report.c: `unsplit report`: what exit reports say, as a table or for other programs. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/flags.h"
#include "cli/openmetrics.h"
#include "cli/output.h"
#include "cli/report_file.h"
#include "cli/sites.h"
#include "cli/symbolize.h"
#include "kernel/say.h"

/* Of the keys of --json and their meaning. */
enum { SUMMARY_VERSION = 1 };

struct request {
	bool json, openmetrics, folded, symbols;
	const char *output, *most;
	uint64_t sites; /* how many are shown */
	char **paths;
};

struct reports {
	struct report_file *files;
	size_t count;
	bool complete; /* all that were named could be read */
	struct sites sites;
};

/* ---- the table ---- */

/* A figure of each report that the table and the JSON show. */
static const struct column {
	const char *head, *section, *key;
	enum { BYTES, COUNT } kind;
} columns[] = {
	{"PEAK", "stats", "used_peak", BYTES},       {"ASKED", "heap", "huge_asked", BYTES},
	{"GOT", "heap", "huge_got", BYTES},          {"RETURN", "stats", "returned_units", COUNT},
	{"DEMOTE", "stats", "demoted_units", COUNT}, {"HEAL", "stats", "healed_units", COUNT},
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

/* So that a process id of seven digits and a command of 15 bytes, the longest, fit into a line. */
static int width_of(const struct column *c)
{
	return c->kind == BYTES ? 10 : 8;
}

static void print_cell(FILE *out, const struct report_file *f, const struct column *c)
{
	int width = width_of(c);
	uint64_t value;

	if (!report_number(f, c->section, c->key, &value))
		fprintf(out, "%*s", width, "-");
	else if (c->kind == BYTES)
		fprintf(out, "%*.1fM", width - 1, (double)value / (1 << 20));
	else
		fprintf(out, "%*lu", width, (unsigned long)value);
}

static void print_table(FILE *out, const struct reports *r)
{
	fprintf(out, "%-8s", "PID");
	for (int i = 0; i < COLUMNS; i++)
		fprintf(out, "%*s", width_of(&columns[i]), columns[i].head);
	fputs("  COMMAND\n", out);
	for (size_t n = 0; n < r->count; n++) {
		uint64_t pid = 0;

		report_number(&r->files[n], NULL, "pid", &pid);
		fprintf(out, "%-8lu", (unsigned long)pid);
		for (int i = 0; i < COLUMNS; i++)
			print_cell(out, &r->files[n], &columns[i]);
		/* It came from a file, which may hold anything: a terminal obeys control
		 * characters. */
		fputs("  ", out);
		for (const char *c = report_string(&r->files[n], "command"); *c; c++)
			putc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, out);
		putc('\n', out);
	}
}

static void print_site(FILE *out, const struct site_row *row, bool symbols)
{
	fprintf(out, "\n%.1f MiB in %lu requests (%s), site %s\n", (double)row->bytes / (1 << 20),
	        (unsigned long)row->count, row->kind, row->site);
	for (size_t i = 0; i < json_array_size(row->frames); i++)
		fprintf(out, "    %.75s\n", frame_text(site_frame(row, i, false), symbols));
}

static void print_sites(FILE *out, const struct request *q, const struct sites *s)
{
	size_t shown = s->count < q->sites ? s->count : q->sites;

	if (!s->count)
		return;
	fprintf(out, "\nCall sites, %zu of %zu, those with the most bytes first\n", shown,
	        s->count);
	for (size_t i = 0; i < shown; i++)
		print_site(out, &s->rows[i], q->symbols);
}

/* ---- JSON ---- */

static json_t *number_or_null(const struct report_file *f, const char *section, const char *key)
{
	uint64_t value;

	return report_number(f, section, key, &value) ? json_integer((json_int_t)value)
	                                              : json_null();
}

static json_t *json_of_file(const struct report_file *f)
{
	json_t *object = json_object();

	json_object_set_new(object, "file", json_string(f->path));
	json_object_set_new(object, "pid", number_or_null(f, NULL, "pid"));
	json_object_set_new(object, "command", json_string(report_string(f, "command")));
	json_object_set_new(object, "unsplit", json_string(report_string(f, "unsplit")));
	for (int i = 0; i < COLUMNS; i++)
		json_object_set_new(object, columns[i].key,
		                    number_or_null(f, columns[i].section, columns[i].key));
	return object;
}

static json_t *json_of_site(const struct site_row *row, bool symbols)
{
	json_t *object = json_object(), *frames = json_array();

	for (size_t i = 0; i < json_array_size(row->frames); i++)
		json_array_append_new(frames, json_string(site_frame(row, i, symbols)));
	json_object_set_new(object, "site", json_string(row->site));
	json_object_set_new(object, "kind", json_string(row->kind));
	json_object_set_new(object, "count", json_integer((json_int_t)row->count));
	json_object_set_new(object, "bytes", json_integer((json_int_t)row->bytes));
	json_object_set_new(object, "frames", frames);
	return object;
}

/* All sites: who reads JSON can cut it himself. */
static void print_json(FILE *out, const struct request *q, const struct reports *r)
{
	json_t *root = json_object(), *reports = json_array(), *sites = json_array();

	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(reports, json_of_file(&r->files[i]));
	for (size_t i = 0; i < r->sites.count; i++)
		json_array_append_new(sites, json_of_site(&r->sites.rows[i], q->symbols));
	json_object_set_new(root, "version", json_integer(SUMMARY_VERSION));
	json_object_set_new(root, "reports", reports);
	json_object_set_new(root, "sites", sites);
	json_dumpf(root, out, JSON_INDENT(2));
	putc('\n', out);
	json_decref(root);
}

/* ---- */

static void print(FILE *out, const struct request *q, const struct reports *r)
{
	if (q->openmetrics) {
		openmetrics_write(out, r->files, r->count);
	} else if (q->folded) {
		site_list_fold(out, &r->sites, q->symbols);
	} else if (q->json) {
		print_json(out, q, r);
	} else {
		print_table(out, r);
		print_sites(out, q, &r->sites);
	}
}

static bool is_named_before(char **paths, size_t i)
{
	for (size_t before = 0; before < i; before++)
		if (strcmp(paths[before], paths[i]) == 0)
			return true;
	return false;
}

static bool take_file(struct reports *r, const char *path)
{
	struct report_file *f = &r->files[r->count];

	if (!report_file_read(f, path))
		return false;
	/* If it is left out after all it stays open: rows of sites may point into it. */
	if (!site_list_add(&r->sites, f))
		return false;
	r->count++;
	return true;
}

/* What cannot be read is left out and said, so that one bad file among many does not cost all. */
static void read_files(struct reports *r, char **paths)
{
	size_t count = 0;

	while (paths[count])
		count++;
	r->files = calloc(count + 1, sizeof(*r->files));
	if (!r->files)
		die("out of memory");
	r->complete = true;
	for (size_t i = 0; i < count; i++)
		if (!is_named_before(paths, i))
			r->complete &= take_file(r, paths[i]);
	site_list_sort(&r->sites);
}

static bool parse(struct request *q, char **args)
{
	const struct flag flags[] = {
		{"--json", &q->json, NULL},     {"--openmetrics", &q->openmetrics, NULL},
		{"--folded", &q->folded, NULL}, {"--symbols", &q->symbols, NULL},
		{"-o", NULL, &q->output},       {"-n", NULL, &q->most},
	};

	q->paths = take_flags("report", args, flags, sizeof(flags) / sizeof(flags[0]), false);
	if (!q->paths)
		return false;
	if (!*q->paths) {
		say("report needs a file; \"unsplit help report\" tells more");
		return false;
	}
	if (q->json + q->openmetrics + q->folded > 1) {
		say("report: --json, --openmetrics and --folded cannot be had together");
		return false;
	}
	if (!parse_number(q->most, 0, INT_MAX, &q->sites)) {
		say("report: option -n: \"%s\" is no number of call sites", q->most);
		return false;
	}
	return true;
}

static int report_main(char **args)
{
	struct request q = {.most = "10"};
	struct reports r = {0};
	struct output o;
	bool written;

	if (!parse(&q, args))
		return EXIT_USAGE;
	read_files(&r, q.paths);
	if (!r.count)
		return 1;
	if (q.folded && !r.sites.count) {
		say("report: no call sites are in %s", q.paths[1] ? "these reports" : q.paths[0]);
		return 1;
	}
	if (!output_open(&o, q.output))
		return 1;
	print(o.file, &q, &r);
	written = output_close(&o, true);
	return written && r.complete ? 0 : 1;
}

const struct command report_command = {
	.name = "report",
	.summary = "show exit reports as a table, or turn them into other formats",
	.usage = "Usage: unsplit report [OPTION...] FILE...\n"
		 "\n"
		 "Show what programs wrote at their end with the option report:FILE.json: the\n"
		 "most that their heaps held, what was asked for on huge pages and what was got\n"
		 "at the end, how many units were given back, split on purpose and made huge\n"
		 "again, and the call sites, if the reports have any.\n"
		 "\n"
		 "  --json         JSON, with all call sites\n"
		 "  --openmetrics  OpenMetrics text, for Prometheus or the node exporter\n"
		 "  --folded       the call sites' bytes as folded stacks, for flame graphs\n"
		 "  --symbols      name functions and lines; needs the files that ran, and for\n"
		 "                 lines their debug information\n"
		 "  -n COUNT       show so many call sites in the table (10)\n"
		 "  -o FILE        write to FILE, which is replaced in one step\n"
		 "\n"
		 "A file that cannot be read is left out, and said.  The exit status is 0; 1 if\n"
		 "something could not be read or written; 2 on wrong usage.\n",
	.main = report_main,
};
