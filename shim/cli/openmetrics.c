/* openmetrics.c: exit reports as OpenMetrics text.
 *
 * The format: https://github.com/prometheus/OpenMetrics, version 1.0.0.  All samples of a family
 * stand together; a counter's sample ends in _total; a family with a unit ends in its name, and
 * units are base units; the text ends with "# EOF". */
#include "cli/openmetrics.h"

#include <string.h>

/* A figure of the reports.  `section` and `key` say where it stands. */
struct figure {
	const char *section, *key, *unit, *help;
};

static const struct figure figures[] = {
	{"heap", "resident", "bytes", "of the heap in memory"},
	{"heap", "huge_got", "bytes", "of the heap mapped by huge pages"},
	{"process", "anonymous", "bytes", "of anonymous memory are resident"},
	{"process", "anon_huge_pages", "bytes", "of anonymous memory mapped by huge pages"},
	{"process", "peak_rss", "bytes", "resident at once, at most"},
	{"process", "minor_faults", "page faults", "met from memory"},
	{"process", "major_faults", "page faults", "that read a disk"},
#define STAT(name, unit, help) {"stats", #name, unit, help},
#include "report/stats.def"
};

/* Counters only ever rise.  What is not named here is taken for a gauge, which is never wrong. */
static const char *const counters[] = {
	"minor_faults",
	"major_faults",
	"returned_units",
	"return_calls",
	"demoted_units",
	"demoted_bytes",
	"demote_failures",
	"healed_units",
	"heal_failures",
	"release_ns",
	"extents_made",
	"cache_hits",
	"realloc_in_place",
	"realloc_moved_units",
	"map_placed",
	"map_packed",
	"map_grown",
	"map_cuts",
	"advice_failures",
	"return_failures",
	"out_of_memory",
	"threads",
	"forks",
};

/* A family as it is written. */
struct family {
	const struct figure *figure;
	char name[96];
	const char *unit; /* "": none */
	bool counter;
	bool nanoseconds; /* the figure counts them; the family has seconds */
};

static bool is_counter(const char *key)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if (strcmp(counters[i], key) == 0)
			return true;
	return false;
}

static bool ends_in(const char *s, const char *end)
{
	size_t length = strlen(s), n = strlen(end);

	return length >= n && strcmp(s + length - n, end) == 0;
}

static void make_family(struct family *f, const struct figure *figure)
{
	const char *section = strcmp(figure->section, "stats") == 0 ? "" : figure->section;
	int length = (int)strlen(figure->key);

	*f = (struct family){.figure = figure, .unit = "", .counter = is_counter(figure->key)};
	if (strcmp(figure->unit, "ns") == 0) {
		f->nanoseconds = true;
		f->unit = "seconds";
		length -= ends_in(figure->key, "_ns") ? 3 : 0;
	} else if (strcmp(figure->unit, "bytes") == 0) {
		f->unit = "bytes";
		length -= ends_in(figure->key, "_bytes") ? 6 : 0;
	}
	snprintf(f->name, sizeof(f->name), "unsplit_%s%s%.*s%s%s", section, *section ? "_" : "",
	         length, figure->key, *f->unit ? "_" : "", f->unit);
}

static void put_escaped(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*value == '"' || *value == '\\')
			putc('\\', out);
		putc(*value, out);
	}
}

static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	put_escaped(out, value);
	putc('"', out);
}

/* The file's name is among them, so that no two samples are the same: process ids come again. */
static void put_labels(FILE *out, const struct report_file *f)
{
	uint64_t pid = 0;

	report_number(f, NULL, "pid", &pid);
	putc('{', out);
	put_label(out, "command", report_string(f, "command"));
	fprintf(out, ",pid=\"%lu\",", (unsigned long)pid);
	put_label(out, "report", f->path);
}

static void put_sample(FILE *out, const struct family *f, const struct report_file *file)
{
	uint64_t value;

	if (!report_number(file, f->figure->section, f->figure->key, &value))
		return;
	fprintf(out, "%s%s", f->name, f->counter ? "_total" : "");
	put_labels(out, file);
	if (f->nanoseconds)
		fprintf(out, "} %lu.%09lu\n", (unsigned long)(value / 1000000000),
		        (unsigned long)(value % 1000000000));
	else
		fprintf(out, "} %lu\n", (unsigned long)value);
}

static void put_family(FILE *out, const struct family *f, const struct report_file *files,
                       size_t count)
{
	fprintf(out, "# TYPE %s %s\n", f->name, f->counter ? "counter" : "gauge");
	if (*f->unit)
		fprintf(out, "# UNIT %s %s\n", f->name, f->unit);
	fprintf(out, "# HELP %s %s %s\n", f->name, *f->unit ? f->unit : f->figure->unit,
	        f->figure->help);
	for (size_t i = 0; i < count; i++)
		put_sample(out, f, &files[i]);
}

static void put_info(FILE *out, const struct report_file *files, size_t count)
{
	fputs("# TYPE unsplit info\n# HELP unsplit the library that wrote the report\n", out);
	for (size_t i = 0; i < count; i++) {
		fputs("unsplit_info", out);
		put_labels(out, &files[i]);
		putc(',', out);
		put_label(out, "version", report_string(&files[i], "unsplit"));
		fputs("} 1\n", out);
	}
}

static void put_zone(FILE *out, const char *key, const struct report_file *f, size_t number,
                     const json_t *zone)
{
	const json_t *value = json_object_get(zone, key);
	const char *name = json_string_value(json_object_get(zone, "name"));

	if (!json_is_integer(value))
		return;
	fprintf(out, "unsplit_zone_%s_bytes", key);
	put_labels(out, f);
	putc(',', out);
	put_label(out, "zone", name ? name : "");
	fprintf(out, ",number=\"%zu\"} %lu\n", number, (unsigned long)json_integer_value(value));
}

/* Several zones may have the same name: so each has a number. */
static void put_zones(FILE *out, const char *key, const char *help, const struct report_file *files,
                      size_t count)
{
	fprintf(out, "# TYPE unsplit_zone_%s_bytes gauge\n# UNIT unsplit_zone_%s_bytes bytes\n",
	        key, key);
	fprintf(out, "# HELP unsplit_zone_%s_bytes bytes %s\n", key, help);
	for (size_t i = 0; i < count; i++) {
		const json_t *zones = json_object_get(files[i].root, "ranges");
		size_t number;
		json_t *zone;

		json_array_foreach(zones, number, zone) put_zone(out, key, &files[i], number, zone);
	}
}

/* Reports of machines with one node have no such table. */
static void put_nodes(FILE *out, const struct report_file *f)
{
	json_t *node;
	size_t i;

	json_array_foreach(json_object_get(f->root, "nodes"), i, node)
	{
		const json_t *number = json_object_get(node, "node");
		const json_t *bytes = json_object_get(node, "heap");

		if (!json_is_integer(number) || !json_is_integer(bytes))
			continue;
		fputs("unsplit_node_heap_bytes", out);
		put_labels(out, f);
		fprintf(out, ",node=\"%lu\"} %lu\n", (unsigned long)json_integer_value(number),
		        (unsigned long)json_integer_value(bytes));
	}
}

static void put_all_nodes(FILE *out, const struct report_file *files, size_t count)
{
	fputs("# TYPE unsplit_node_heap_bytes gauge\n# UNIT unsplit_node_heap_bytes bytes\n"
	      "# HELP unsplit_node_heap_bytes bytes of the heap on a NUMA node, by sampling\n",
	      out);
	for (size_t i = 0; i < count; i++)
		put_nodes(out, &files[i]);
}

void openmetrics_write(FILE *out, const struct report_file *files, size_t count)
{
	put_info(out, files, count);
	put_zones(out, "resident", "in memory", files, count);
	put_zones(out, "huge", "mapped by huge pages", files, count);
	put_all_nodes(out, files, count);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		struct family f;

		make_family(&f, &figures[i]);
		put_family(out, &f, files, count);
	}
	fputs("# EOF\n", out);
}
