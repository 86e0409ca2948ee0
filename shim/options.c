/* options.c: the parser of the option table. */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "kernel/say.h"
#include "kernel/sysfs.h"

struct options options;

#define ROW(name, ...) {#name, __VA_ARGS__, offsetof(struct options, name)},

const struct option_row option_rows[] = {
#define OPTION_BOOL(name, def, help) ROW(name, OPTION_BOOL, def, 0, 1, NULL, NULL, help)
#define OPTION_SIZE(name, def, min, max, help)                                                     \
	ROW(name, OPTION_SIZE, def, min, max, NULL, NULL, help)
#define OPTION_PERCENT(name, def, min, max, help)                                                  \
	ROW(name, OPTION_PERCENT, def, min, max, NULL, NULL, help)
#define OPTION_MS(name, def, min, max, help) ROW(name, OPTION_MS, def, min, max, NULL, NULL, help)
#define OPTION_NUMBER(name, def, min, max, help)                                                   \
	ROW(name, OPTION_NUMBER, def, min, max, NULL, NULL, help)
#define OPTION_ENUM(name, def, words, help) ROW(name, OPTION_ENUM, def, 0, 0, words, NULL, help)
#define OPTION_TEXT(name, def, help)        ROW(name, OPTION_TEXT, 0, 0, 0, NULL, def, help)
#include "options.def"
#include "table.h"
};

const size_t option_count = sizeof(option_rows) / sizeof(option_rows[0]);

enum {
	TEXT_SIZE = 256,  /* of the OPTION_TEXT members in struct options */
	WORD_SIZE = 64,   /* of a name that the user wrote; ours are shorter */
	LINE_SIZE = 1024, /* of a complaint */
};

/* What a unit after a number multiplies it by. */
struct suffix {
	const char *text;
	uint64_t factor;
};

static const struct suffix size_suffixes[] = {
	{"G", 1ul << 30}, {"M", 1ul << 20}, {"K", 1ul << 10}, {"", 1}, {NULL, 0},
};
static const struct suffix ms_suffixes[] = {{"s", 1000}, {"ms", 1}, {"", 1}, {NULL, 0}};
static const struct suffix no_suffixes[] = {{"", 1}, {NULL, 0}};
static const struct suffix percent_suffixes[] = {{"%", 1}, {"", 1}, {NULL, 0}};

static const struct suffix *suffixes_of(enum option_type type)
{
	switch (type) {
	case OPTION_SIZE:
		return size_suffixes;
	case OPTION_MS:
		return ms_suffixes;
	case OPTION_NUMBER:
		return no_suffixes;
	default:
		return percent_suffixes;
	}
}

/* The members of struct options, by the type that the table gives them. */

static void *member(const struct option_row *row, struct options *o)
{
	return (char *)o + row->offset;
}

static void store(const struct option_row *row, struct options *o, uint64_t value)
{
	void *m = member(row, o);

	if (row->type == OPTION_BOOL)
		*(bool *)m = value != 0;
	else if (row->type == OPTION_SIZE)
		*(size_t *)m = (size_t)value;
	else
		*(unsigned *)m = (unsigned)value;
}

static uint64_t fetch(const struct option_row *row, const struct options *o)
{
	const void *m = (const char *)o + row->offset;

	if (row->type == OPTION_BOOL)
		return *(const bool *)m;
	if (row->type == OPTION_SIZE)
		return *(const size_t *)m;
	return *(const unsigned *)m;
}

void options_default(struct options *o)
{
	for (const struct option_row *row = option_rows; row < option_rows + option_count; row++) {
		if (row->type == OPTION_TEXT)
			say_into(member(row, o), TEXT_SIZE, "%s", row->text);
		else
			store(row, o, row->def);
	}
}

/* Value parsers. */

static bool parse_digits(const char **text, uint64_t *value)
{
	const char *p = *text;

	*value = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*p - '0'), value))
			return false;
	if (p == *text)
		return false;
	*text = p;
	return true;
}

static bool parse_number(const struct option_row *row, const char *text, uint64_t *value)
{
	const struct suffix *s = suffixes_of(row->type);

	if (!parse_digits(&text, value))
		return false;
	while (s->text && strcmp(s->text, text) != 0)
		s++;
	if (!s->text || __builtin_mul_overflow(*value, s->factor, value))
		return false;
	return *value >= row->min && *value <= row->max;
}

/* The number of the word `text` in "a|b|c". */
static bool parse_word(const char *words, const char *text, uint64_t *value)
{
	size_t length = strlen(text);

	for (*value = 0;; (*value)++) {
		size_t n = strcspn(words, "|");

		if (n == length && memcmp(words, text, n) == 0)
			return n > 0;
		if (!words[n])
			return false;
		words += n + 1;
	}
}

static bool parse_text(const char *text, char *value)
{
	size_t length = strlen(text);

	if (!length || length >= TEXT_SIZE || strchr(text, ','))
		return false;
	memcpy(value, text, length + 1);
	return true;
}

bool option_parse(const struct option_row *row, const char *text, struct options *o)
{
	uint64_t value;
	bool ok;

	switch (row->type) {
	case OPTION_TEXT:
		return parse_text(text, member(row, o));
	case OPTION_BOOL:
		ok = parse_word("off|on", text, &value);
		break;
	case OPTION_ENUM:
		ok = parse_word(row->words, text, &value);
		break;
	default:
		ok = parse_number(row, text, &value);
	}
	if (ok)
		store(row, o, value);
	return ok;
}

/* Values and what is accepted, in words. */

static void show_number(enum option_type type, uint64_t value, char *buf, size_t size)
{
	const struct suffix *s = suffixes_of(type);

	/* The largest unit that loses nothing; zero needs none. */
	while (s->factor > 1 && (value == 0 || value % s->factor))
		s++;
	say_into(buf, size, "%lu%s", (unsigned long)(value / s->factor), value ? s->text : "");
}

static void show_word(const char *words, uint64_t index, char *buf, size_t size)
{
	size_t n;

	while (index--)
		words += strcspn(words, "|") + 1;
	n = strcspn(words, "|");
	say_into(buf, n + 1 < size ? n + 1 : size, "%s", words);
}

void option_show(const struct option_row *row, const struct options *o, char *buf, size_t size)
{
	switch (row->type) {
	case OPTION_TEXT:
		say_into(buf, size, "%s", (const char *)o + row->offset);
		break;
	case OPTION_BOOL:
		say_into(buf, size, "%s", fetch(row, o) ? "on" : "off");
		break;
	case OPTION_ENUM:
		show_word(row->words, fetch(row, o), buf, size);
		break;
	default:
		show_number(row->type, fetch(row, o), buf, size);
	}
}

/* "a|b|c" as "a, b or c". */
static void show_words(const char *words, char *buf, size_t size)
{
	size_t length = 0;

	buf[0] = '\0';
	for (;;) {
		size_t n = strcspn(words, "|");
		const char *more = words + n + 1;
		const char *join = !words[n] ? "" : strchr(more, '|') ? ", " : " or ";

		for (size_t i = 0; i < n && length + 1 < size; i++)
			buf[length++] = words[i];
		length += say_into(buf + length, size - length, "%s", join);
		if (!words[n] || length + 1 >= size)
			return;
		words = more;
	}
}

/* Examples show the form; those out of range would mislead. */
static const char *example_of(const struct option_row *row)
{
	switch (row->type) {
	case OPTION_SIZE:
		return row->max >= 1ul << 20 ? ", such as 64K or 1M" : ", such as 16K";
	case OPTION_MS:
		return row->max >= 2000 ? ", such as 100ms or 2s" : ", such as 100ms";
	default:
		return "";
	}
}

static void accepts_number(const struct option_row *row, const char *what, char *buf, size_t size)
{
	char min[32], max[32];

	show_number(row->type, row->min, min, sizeof(min));
	show_number(row->type, row->max, max, sizeof(max));
	say_into(buf, size, "%s from %s to %s%s", what, min, max, example_of(row));
}

void option_accepts(const struct option_row *row, char *buf, size_t size)
{
	switch (row->type) {
	case OPTION_BOOL:
		say_into(buf, size, "on or off");
		break;
	case OPTION_SIZE:
		accepts_number(row, "a size", buf, size);
		break;
	case OPTION_PERCENT:
		accepts_number(row, "a percentage", buf, size);
		break;
	case OPTION_MS:
		accepts_number(row, "a time", buf, size);
		break;
	case OPTION_NUMBER:
		accepts_number(row, "a number", buf, size);
		break;
	case OPTION_ENUM:
		show_words(row->words, buf, size);
		break;
	case OPTION_TEXT:
		say_into(buf, size, "a text of 1 to %d bytes without a comma", TEXT_SIZE - 1);
		break;
	}
}

/* Names. */

const struct option_row *option_find(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (strcmp(option_rows[i].name, name) == 0)
			return &option_rows[i];
	return NULL;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* One row of the table that Levenshtein's algorithm fills (with swaps counted as one mistake):
 * what it takes to make the first i letters of `a` into the first j of `b`. */
static void distance_row(const char *a, size_t i, const char *b, size_t bn,
                         unsigned rows[3][WORD_SIZE])
{
	unsigned *now = rows[i % 3];
	const unsigned *before = rows[(i + 2) % 3], *swapped = rows[(i + 1) % 3];

	now[0] = (unsigned)i;
	for (size_t j = 1; j <= bn; j++) {
		now[j] = least(before[j], now[j - 1]) + 1;
		now[j] = least(now[j], before[j - 1] + (a[i - 1] != b[j - 1]));
		if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
			now[j] = least(now[j], swapped[j - 2] + 1);
	}
}

unsigned typing_distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_SIZE];
	size_t an = strlen(a), bn = strlen(b);
	size_t longer = an > bn ? an : bn;
	unsigned distance;

	if (longer >= WORD_SIZE)
		return UINT_MAX;
	for (size_t j = 0; j <= bn; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= an; i++)
		distance_row(a, i, b, bn, rows);
	distance = rows[an % 3][bn];
	return distance <= 1 + longer / 3 ? distance : UINT_MAX;
}

static const char *nearest_name(const char *name)
{
	const char *nearest = NULL;
	unsigned best = UINT_MAX;

	for (size_t i = 0; i < option_count; i++) {
		unsigned distance = typing_distance(name, option_rows[i].name);

		if (distance < best) {
			best = distance;
			nearest = option_rows[i].name;
		}
	}
	return nearest;
}

static void describe_unknown(const char *name, char *mistake, size_t size)
{
	const char *nearest = nearest_name(name);

	if (nearest)
		say_into(mistake, size, "option \"%s\" is not known; did you mean \"%s\"?", name,
		         nearest);
	else
		say_into(mistake, size,
		         "option \"%s\" is not known; \"unsplit options\" lists all.", name);
}

bool options_set(struct options *o, const char *name, const char *value, char *mistake, size_t size)
{
	const struct option_row *row = option_find(name);
	char accepted[128];

	if (!row) {
		describe_unknown(name, mistake, size);
		return false;
	}
	if (value && option_parse(row, value, o))
		return true;
	option_accepts(row, accepted, sizeof(accepted));
	if (value)
		say_into(mistake, size, "option %s: \"%s\" is not %s", name, value, accepted);
	else
		say_into(mistake, size, "option %s has no value, which would be %s", name,
		         accepted);
	return false;
}

/* The list. */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Copy [from, end) without the blanks around it.  What does not fit is cut, and then ends in "..."
 * so that a message shows it and no parser takes it for the whole. */
static void copy_word(char *word, size_t size, const char *from, const char *end)
{
	size_t length;

	while (from < end && is_blank(*from))
		from++;
	while (from < end && is_blank(end[-1]))
		end--;
	length = (size_t)(end - from);
	if (length < size) {
		memcpy(word, from, length);
		word[length] = '\0';
	} else {
		memcpy(word, from, size - 4);
		memcpy(word + size - 4, "...", 4);
	}
}

/* The mistake, and what is done about it. */
static void report_mistake(const struct options *o, const char *name, const char *mistake,
                           option_complaint complain)
{
	const struct option_row *row = option_find(name);
	char line[LINE_SIZE], value[TEXT_SIZE];

	if (row) {
		option_show(row, o, value, sizeof(value));
		say_into(line, sizeof(line), "%s; using %s", mistake, value);
	} else {
		say_into(line, sizeof(line), "%s It is ignored.", mistake);
	}
	complain(line);
}

/* One "key:value". */
static bool parse_entry(struct options *o, const char *entry, const char *end,
                        option_complaint complain)
{
	/* A cut value is longer than any that fits into the options, so it is a mistake. */
	char name[WORD_SIZE], value[TEXT_SIZE + 4], mistake[LINE_SIZE / 2];
	const char *colon = memchr(entry, ':', (size_t)(end - entry));

	copy_word(name, sizeof(name), entry, colon ? colon : end);
	if (colon)
		copy_word(value, sizeof(value), colon + 1, end);
	if (!colon && !name[0])
		return true;
	if (options_set(o, name, colon ? value : NULL, mistake, sizeof(mistake)))
		return true;
	report_mistake(o, name, mistake, complain);
	return false;
}

unsigned options_parse(struct options *o, const char *conf, option_complaint complain)
{
	unsigned mistakes = 0;

	for (;;) {
		size_t length = strcspn(conf, ",");

		if (!parse_entry(o, conf, conf + length, complain))
			mistakes++;
		if (!conf[length])
			return mistakes;
		conf += length + 1;
	}
}

/* UNSPLIT_CONF, or NULL if there is none or the environment is not to be trusted.
 *
 * The first malloc may come from an IFUNC resolver while ld.so still relocates the program.  libc's
 * constructor has not run by then, so `environ` is NULL although there is an environment; the
 * kernel still has it.  Reading it there means that the options are right from the first
 * allocation on and never change, rather than being loaded a second time over a heap in use. */
static const char *find_conf(void)
{
	static TABLE char early[4096];

	if (environ)
		return secure_getenv("UNSPLIT_CONF");
	if (getauxval(AT_SECURE) ||
	    !sysfs_entry("/proc/self/environ", "UNSPLIT_CONF", early, sizeof(early)))
		return NULL;
	return early;
}

static void complain_to_stderr(const char *line)
{
	say("%s", line);
}

/* Learning asks what was touched: of every site, and on base pages that were fresh.  What is to be
 * written while the program runs is written by the keeper. */
static void settle(struct options *o)
{
	bool learns = strcmp(o->learn, "off") != 0;

	if ((learns || o->report_every) && o->background == BACKGROUND_AUTO)
		o->background = BACKGROUND_ON;
	if (!learns)
		return;
	o->sites = true;
	o->huge = false;
	o->process_thp = PROCESS_THP_OFF;
	o->thread_cache = 0;
	o->heal = 0;
	strcpy(o->rules, "off");
}

void options_load(void)
{
	int saved_errno = errno;
	const char *conf;

	options_default(&options);
	conf = find_conf();
	if (conf && options_parse(&options, conf, complain_to_stderr) && options.strict)
		_exit(2);
	settle(&options);
	errno = saved_errno;
}
