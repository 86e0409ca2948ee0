/* sites.c: the call sites of reports. */
#include "cli/sites.h"

#include <stdlib.h>
#include <string.h>

#include "cli/symbolize.h"
#include "kernel/say.h"

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool number_of(const json_t *object, const char *key, uint64_t *value)
{
	const json_t *number = json_object_get(object, key);

	if (!json_is_integer(number) || json_integer_value(number) < 0)
		return false;
	*value = (uint64_t)json_integer_value(number);
	return true;
}

/* The reports give frames as one text with blanks between.  NULL if it is none. */
static json_t *split_frames(const json_t *text)
{
	const char *rest = json_string_value(text);
	json_t *array = rest ? json_array() : NULL;

	while (array && *rest) {
		size_t length = strcspn(rest, " ");

		json_array_append_new(array, json_stringn(rest, length));
		rest += length + strspn(rest + length, " ");
	}
	return array;
}

static bool read_row(struct site_row *row, const json_t *object)
{
	*row = (struct site_row){
		.site = string_of(object, "site"),
		.kind = string_of(object, "kind"),
		.frames = split_frames(json_object_get(object, "frames")),
	};
	if (!row->kind)
		row->kind = "-";
	return row->site && number_of(object, "count", &row->count) &&
	       number_of(object, "bytes", &row->bytes) && row->frames;
}

/* The same site has the same name in every run; what it asks for may be of several kinds. */
static struct site_row *find_row(struct sites *s, const struct site_row *row)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->rows[i].site, row->site) == 0 &&
		    strcmp(s->rows[i].kind, row->kind) == 0)
			return &s->rows[i];
	return NULL;
}

static void add_row(struct sites *s, const struct site_row *row)
{
	struct site_row *old = find_row(s, row);

	if (old) {
		old->count += row->count;
		old->bytes += row->bytes;
		json_decref(row->frames);
		return;
	}
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->rows = realloc(s->rows, s->room * sizeof(*s->rows));
		if (!s->rows)
			die("out of memory");
	}
	s->rows[s->count++] = *row;
}

bool site_list_add(struct sites *s, const struct report_file *f)
{
	const json_t *array = json_object_get(f->root, "sites");
	size_t i;
	json_t *object;

	if (array && !json_is_array(array)) {
		say("%s: \"sites\" is no array", f->path);
		return false;
	}
	json_array_foreach(array, i, object)
	{
		struct site_row row;

		if (!read_row(&row, object)) {
			say("%s: number %zu of \"sites\" has no \"site\", \"count\", \"bytes\" and "
			    "\"frames\"",
			    f->path, i + 1);
			return false;
		}
		add_row(s, &row);
	}
	return true;
}

void site_list_free(struct sites *s)
{
	for (size_t i = 0; i < s->count; i++)
		json_decref(s->rows[i].frames);
	free(s->rows);
	*s = (struct sites){0};
}

static int by_bytes(const void *x, const void *y)
{
	const struct site_row *a = x, *b = y;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return strcmp(a->site, b->site);
}

void site_list_sort(struct sites *s)
{
	if (s->count)
		qsort(s->rows, s->count, sizeof(*s->rows), by_bytes);
}

const char *site_frame(const struct site_row *row, size_t i, bool symbols)
{
	const char *frame = json_string_value(json_array_get(row->frames, i));

	if (!frame)
		return "";
	return symbols ? symbolize(frame) : frame;
}

/* ';' and a newline end a frame; the rest may hold anything. */
static void put_folded(FILE *out, const char *frame)
{
	for (; *frame; frame++)
		putc(*frame == ';' ? ':' : *frame == '\n' ? ' ' : *frame, out);
}

void site_list_fold(FILE *out, const struct sites *s, bool symbols)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct site_row *row = &s->rows[i];

		for (size_t n = json_array_size(row->frames); n-- > 0;) {
			put_folded(out, site_frame(row, n, symbols));
			if (n)
				putc(';', out);
		}
		if (!json_array_size(row->frames))
			put_folded(out, row->site);
		fprintf(out, " %lu\n", (unsigned long)row->bytes);
	}
}
