/*
 * emitter.c: text and JSON out of the same calls.
 */
#include "report/emitter.h"

#include "kernel/say.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Columns of the text. */
enum { KEY_WIDTH = 19, NUMBER_WIDTH = 10, CELL_WIDTH = 12 };

/* The text shows no more of a string than this, its NUL included. */
enum { STRING_MAX = 64 };

/* A value as the text shows it. */
struct shown {
	char number[24];
	const char *unit;
};

/* The way out. */

static void flush(struct emitter *e)
{
	size_t done = 0;

	while (done < e->used && !e->error) {
		ssize_t n = write(e->fd, e->buf + done, e->used - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			e->error = n ? errno : EIO;
	}
	e->used = 0;
}

static void put_char(struct emitter *e, char c)
{
	if (e->used == sizeof(e->buf))
		flush(e);
	e->buf[e->used++] = c;
}

static void put(struct emitter *e, const char *s)
{
	while (*s)
		put_char(e, *s++);
}

/* As many blanks as bring text of this length to this width. */
static const char *padding(size_t length, size_t width)
{
	static const char blanks[] = "                    ";
	size_t most = sizeof(blanks) - 1;
	size_t n = length < width ? width - length : 0;

	return blanks + most - (n < most ? n : most);
}

/* Values as text. */

/* Bytes with a binary prefix and two decimals.  Cut off, not rounded: we never show more than there
 * is. */
static void show_bytes(struct shown *shown, uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned prefix = 0;
	uint64_t hundredths;

	/* Stop one step early, so that the last ten bits become the decimals. */
	for (; bytes >> 20; bytes >>= 10)
		prefix++;
	if (bytes < 1024) {
		say_into(shown->number, sizeof(shown->number), "%lu", (unsigned long)bytes);
	} else {
		prefix++;
		hundredths = (bytes & 1023) * 100 >> 10;
		say_into(shown->number, sizeof(shown->number), "%lu.%lu%lu",
		         (unsigned long)(bytes >> 10), (unsigned long)(hundredths / 10),
		         (unsigned long)(hundredths % 10));
	}
	shown->unit = units[prefix];
}

static void show_number(struct shown *shown, uint64_t value, const char *unit)
{
	if (strcmp(unit, "bytes") == 0) {
		show_bytes(shown, value);
		return;
	}
	say_into(shown->number, sizeof(shown->number), "%lu", (unsigned long)value);
	shown->unit = unit;
}

/* A line of an object: key, value right-aligned, and the phrase it starts. */
static void text_line(struct emitter *e, const char *key, const char *value, const char *unit,
                      const char *help)
{
	put(e, "  ");
	put(e, key);
	put(e, padding(strlen(key), KEY_WIDTH));
	put_char(e, ' ');
	put(e, padding(strlen(value), NUMBER_WIDTH));
	put(e, value);
	if (*unit)
		put_char(e, ' ');
	put(e, unit);
	if (*help)
		put_char(e, ' ');
	put(e, help);
	put_char(e, '\n');
}

/* The first column, the row's name, is left-aligned; numbers are right-aligned. */
static void align_cell(char *cell, size_t size, const char *text, bool is_name)
{
	const char *blanks = padding(strlen(text), CELL_WIDTH);

	if (!*blanks)
		blanks = " ";
	if (is_name)
		say_into(cell, size, "  %s%s", text, blanks);
	else
		say_into(cell, size, "%s%s", blanks, text);
}

/* Append to the row being made; what does not fit is cut off. */
static void row_append(struct emitter *e, const char *cell)
{
	size_t room = sizeof(e->row) - e->row_used;
	size_t length = say_into(e->row + e->row_used, room, "%s", cell);

	e->row_used += length < room ? length : room - 1;
}

/* The head of a column goes out at once, while the cell itself waits in `row`. */
static void text_cell(struct emitter *e, const char *key, const char *value, const char *unit)
{
	bool is_name = e->cells++ == 0;
	char text[STRING_MAX + 16], cell[STRING_MAX + 32];

	if (e->rows == 0) {
		align_cell(cell, sizeof(cell), key, is_name);
		put(e, cell);
	}
	say_into(text, sizeof(text), "%s%s%s", value, *unit ? " " : "", unit);
	align_cell(cell, sizeof(cell), text, is_name);
	row_append(e, cell);
}

static void text_value(struct emitter *e, const char *key, const char *value, const char *unit,
                       const char *help)
{
	if (e->in_table)
		text_cell(e, key, value, unit);
	else
		text_line(e, key, value, unit, help);
}

static void text_title(struct emitter *e, const char *title)
{
	put_char(e, '\n');
	put(e, title);
	put_char(e, '\n');
}

/* JSON. */

static void json_newline(struct emitter *e)
{
	put_char(e, '\n');
	put(e, padding(0, (size_t)e->depth * 2));
}

/* A string in quotes.  Bytes that are not printable ASCII are escaped one by one: the kernel cuts
 * names anywhere, so what looks like UTF-8 may be half a character, which JSON forbids. */
static void json_quoted(struct emitter *e, const char *s)
{
	static const char digits[] = "0123456789abcdef";

	put_char(e, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < ' ' || c >= 0x7f) {
			put(e, "\\u00");
			put_char(e, digits[c >> 4]);
			put_char(e, digits[c & 15]);
			continue;
		}
		if (c == '"' || c == '\\')
			put_char(e, '\\');
		put_char(e, (char)c);
	}
	put_char(e, '"');
}

/* Everything up to a value: the comma after the one before, a new line, and the key if this is not
 * an element of an array. */
static void json_key(struct emitter *e, const char *key)
{
	if (!e->first)
		put_char(e, ',');
	e->first = false;
	json_newline(e);
	if (key) {
		json_quoted(e, key);
		put(e, ": ");
	}
}

static void json_value(struct emitter *e, const char *key, const char *value)
{
	json_key(e, key);
	put(e, value);
}

static void json_open(struct emitter *e, const char *key, char bracket)
{
	json_key(e, key);
	put_char(e, bracket);
	e->depth++;
	e->first = true;
}

static void json_close(struct emitter *e, char bracket)
{
	e->depth--;
	if (!e->first)
		json_newline(e);
	put_char(e, bracket);
	e->first = false;
}

/* Both. */

void emitter_start(struct emitter *e, int fd, enum emitter_format format, const char *title)
{
	memset(e, 0, sizeof(*e));
	e->fd = fd;
	e->format = format;
	e->first = true;
	e->depth = 1;
	if (format == EMITTER_JSON) {
		put_char(e, '{');
	} else {
		put(e, title);
		put_char(e, '\n');
	}
}

int emitter_finish(struct emitter *e)
{
	if (e->format == EMITTER_JSON) {
		json_close(e, '}');
		put_char(e, '\n');
	}
	flush(e);
	return e->error;
}

void emitter_open_object(struct emitter *e, const char *key, const char *title)
{
	if (e->format == EMITTER_JSON)
		json_open(e, key, '{');
	else
		text_title(e, title);
}

void emitter_close_object(struct emitter *e)
{
	if (e->format == EMITTER_JSON)
		json_close(e, '}');
}

void emitter_open_table(struct emitter *e, const char *key, const char *title)
{
	if (e->format == EMITTER_JSON)
		json_open(e, key, '[');
	else
		text_title(e, title);
	e->in_table = true;
	e->rows = 0;
}

void emitter_close_table(struct emitter *e)
{
	if (e->format == EMITTER_JSON)
		json_close(e, ']');
	e->in_table = false;
}

void emitter_open_row(struct emitter *e)
{
	if (e->format == EMITTER_JSON)
		json_open(e, NULL, '{');
	e->row[0] = '\0';
	e->row_used = 0;
	e->cells = 0;
}

void emitter_close_row(struct emitter *e)
{
	if (e->format == EMITTER_JSON) {
		json_close(e, '}');
		return;
	}
	if (e->rows++ == 0)
		put_char(e, '\n');
	put(e, e->row);
	put_char(e, '\n');
}

void emitter_number(struct emitter *e, const char *key, uint64_t value, const char *unit,
                    const char *help)
{
	struct shown shown;

	if (e->format == EMITTER_JSON) {
		show_number(&shown, value, "");
		json_value(e, key, shown.number);
	} else {
		show_number(&shown, value, unit);
		text_value(e, key, shown.number, shown.unit, help);
	}
}

void emitter_percent(struct emitter *e, const char *key, uint64_t part, uint64_t whole,
                     const char *help)
{
	char number[24];
	uint64_t tenths;

	if (whole == 0) {
		emitter_unknown(e, key, help);
		return;
	}
	tenths = (uint64_t)((unsigned __int128)part * 1000 / whole);
	say_into(number, sizeof(number), "%lu.%lu", (unsigned long)(tenths / 10),
	         (unsigned long)(tenths % 10));
	if (e->format == EMITTER_JSON)
		json_value(e, key, number);
	else
		text_value(e, key, number, "%", help);
}

/* A terminal obeys control characters, so the text does not pass them on. */
static void clean(char *to, size_t size, const char *from)
{
	size_t i = 0;

	for (; from[i] && i + 1 < size; i++) {
		unsigned char c = (unsigned char)from[i];

		to[i] = (char)(c < ' ' || c == 0x7f ? '?' : c);
	}
	to[i] = '\0';
}

void emitter_string(struct emitter *e, const char *key, const char *value, const char *help)
{
	char cleaned[STRING_MAX];

	if (e->format == EMITTER_JSON) {
		json_key(e, key);
		json_quoted(e, value);
		return;
	}
	clean(cleaned, sizeof(cleaned), value);
	text_value(e, key, cleaned, "", help);
}

void emitter_unknown(struct emitter *e, const char *key, const char *help)
{
	if (e->format == EMITTER_JSON)
		json_value(e, key, "null");
	else
		text_value(e, key, "-", "", help);
}
