/* report_file.c: reads an exit report. */
#include "cli/report_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernel/say.h"

/* Of the keys and their meaning (report/report.c). */
enum { REPORT_VERSION = 1 };

static void complain_of_json(const char *path, const json_error_t *e)
{
	switch (json_error_code(e)) {
	case json_error_premature_end_of_input:
		say("%s:%d:%d: the file ends in the middle: it is cut off", path, e->line,
		    e->column);
		return;
	default:
		say("%s:%d:%d: this is no JSON (%s); a report in JSON has a name that ends in "
		    "\".json\"",
		    path, e->line, e->column, e->text);
	}
}

static json_t *load(const char *path)
{
	FILE *file = fopen(path, "re");
	json_error_t error;
	json_t *root;

	if (!file) {
		say("%s cannot be read: %s", path, strerror(errno));
		return NULL;
	}
	errno = 0;
	root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
	if (!root && ferror(file))
		say("%s cannot be read: %s", path, strerror(errno));
	else if (!root)
		complain_of_json(path, &error);
	fclose(file);
	return root;
}

static bool is_report(const struct report_file *f)
{
	uint64_t version;

	if (!json_is_object(json_object_get(f->root, "stats")) ||
	    !report_number(f, NULL, "version", &version)) {
		say("%s is no report of unsplit: it has no \"version\" and \"stats\"", f->path);
		return false;
	}
	if (version != REPORT_VERSION) {
		say("%s is a report of version %lu; this command reads version %d", f->path,
		    (unsigned long)version, REPORT_VERSION);
		return false;
	}
	return true;
}

bool report_file_read(struct report_file *f, const char *path)
{
	*f = (struct report_file){path, load(path)};
	if (!f->root)
		return false;
	if (is_report(f))
		return true;
	report_file_close(f);
	return false;
}

void report_file_close(struct report_file *f)
{
	json_decref(f->root);
	f->root = NULL;
}

bool report_number(const struct report_file *f, const char *section, const char *key,
                   uint64_t *value)
{
	const json_t *object = section ? json_object_get(f->root, section) : f->root;
	const json_t *number = json_object_get(object, key);

	if (!json_is_integer(number) || json_integer_value(number) < 0)
		return false;
	*value = (uint64_t)json_integer_value(number);
	return true;
}

const char *report_string(const struct report_file *f, const char *key)
{
	const char *value = json_string_value(json_object_get(f->root, key));

	return value ? value : "-";
}
