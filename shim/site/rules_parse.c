/*
 * rules_parse.c: the lines of a rule file.
 *
 * Words are ended by a NUL in place, always within the line that was taken last, so that a column
 * can still be counted from the start of the line.
 */
#include "site/rules.h"

#include <string.h>

#include "kernel/say.h"
#include "site/rules_keys.h"

enum {
	SHOWN_MAX = 48, /* bytes of a wrong value that are shown */
	LINE_SIZE = 1024,
};

struct parser {
	struct rules *rules;
	const char *file;
	rules_complaint complain;
	unsigned mistakes;
	unsigned line;
	const char *start;   /* of the line */
	struct rule *rule;   /* that the keys now belong to; NULL before the first section */
	struct rule ignored; /* takes the keys of a section that is wrong itself */
	bool full;           /* it was said that there are too many rules */
};

/* Characters. */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The bytes of the character that starts at `p`, of at most `left`; 0 if it is none that a text
 * file has: a terminal would obey control characters (those above ASCII, too) in a message. */
static size_t character(const unsigned char *p, size_t left)
{
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
	size_t length = *p < 0xc2 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	uint32_t code = *p;

	if (length == 1)
		return *p < 0x7f && (*p >= ' ' || *p == '\t');
	if (length > left || *p > 0xf4)
		return 0;
	code &= 0x7fu >> length;
	for (size_t i = 1; i < length; i++) {
		if (!is_continuation(p[i]))
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return length;
}

static unsigned column(const struct parser *p, const char *at)
{
	unsigned n = 1;

	for (const char *c = p->start; c < at; c++)
		n += !is_continuation((unsigned char)*c);
	return n;
}

/* Mistakes. */

/* ' ("TEXT")', cut if it is long; nothing if there is no text. */
static void show_wrong(char *buf, size_t size, struct span wrong)
{
	size_t n = wrong.length < SHOWN_MAX ? wrong.length : SHOWN_MAX;
	char shown[SHOWN_MAX + 1];

	if (!wrong.start) {
		buf[0] = '\0';
		return;
	}
	while (n < wrong.length && is_continuation((unsigned char)wrong.start[n]))
		n--;
	memcpy(shown, wrong.start, n);
	shown[n] = '\0';
	say_into(buf, size, " (\"%s%s\")", shown, n < wrong.length ? "..." : "");
}

/* One mistake at `at`: what is wrong, the text that is, and what is accepted. */
static void mistake(struct parser *p, const char *at, const char *what, struct span wrong,
                    const char *accepted)
{
	char value[SHOWN_MAX + 16], line[LINE_SIZE];

	show_wrong(value, sizeof(value), wrong);
	say_into(line, sizeof(line), "%s:%u:%u: %s%s; accepted: %s", p->file, p->line,
	         column(p, at), what, value, accepted);
	p->mistakes++;
	p->complain(line);
}

/* The same for a text that may be meant to be one of `words`. */
static void wrong_word(struct parser *p, const char *what, struct span wrong, const char *accepted,
                       const char *const *words)
{
	const char *near = words ? rule_word_near(words, wrong) : NULL;
	char more[512];

	say_into(more, sizeof(more), "%s%s%s%s", accepted, near ? "; did you mean \"" : "",
	         near ? near : "", near ? "\"?" : "");
	mistake(p, wrong.start, what, wrong, more);
}

static const struct span no_text = {NULL, 0};

static const char heading_accepted[] = "[site NAME] or [plan NAME]";

/* Sections. */

static void start_rule(struct rule *rule, unsigned line)
{
	memset(rule, 0, sizeof(*rule));
	rule->line = line;
	rule->most = UINT64_MAX;
	rule->kinds = SITE_MALLOC | SITE_MMAP | SITE_SHARED;
}

static const struct rule *rule_titled(const struct rules *r, struct span title)
{
	for (size_t i = 0; i < r->count; i++)
		if (strlen(r->rule[i].title) == title.length &&
		    memcmp(r->rule[i].title, title.start, title.length) == 0)
			return &r->rule[i];
	return NULL;
}

/* Say it once: the file may have thousands. */
static void too_many(struct parser *p)
{
	char accepted[32];

	if (p->full)
		return;
	p->full = true;
	say_into(accepted, sizeof(accepted), "at most %d rules", RULES_MAX);
	mistake(p, p->start, "too many rules", no_text, accepted);
}

static bool title_is_right(struct parser *p, struct span title)
{
	const struct rule *other = rule_titled(p->rules, title);
	char what[64];

	if (!title.length) {
		mistake(p, title.start, "the section has no name", no_text, heading_accepted);
		return false;
	}
	if (title.length >= RULES_TITLE_SIZE) {
		mistake(p, title.start, "the name is too long", title, "a name of 1 to 47 bytes");
		return false;
	}
	if (other) {
		say_into(what, sizeof(what), "the name stands in line %u already", other->line);
		mistake(p, title.start, what, title, "a name that no other rule has");
	}
	return !other;
}

static void open_rule(struct parser *p, struct span title)
{
	p->rule = &p->ignored;
	start_rule(p->rule, p->line);
	if (!title_is_right(p, title))
		return;
	if (p->rules->count == RULES_MAX) {
		too_many(p);
		return;
	}
	p->rule = &p->rules->rule[p->rules->count++];
	start_rule(p->rule, p->line);
	memcpy(p->rule->title, title.start, title.length);
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static const char *trim_end(const char *start, const char *end)
{
	while (end > start && is_blank(end[-1]))
		end--;
	return end;
}

/* "site NAME" or "plan NAME", of a line "[site NAME]" */
static void parse_heading(struct parser *p, const char *from, const char *end)
{
	static const char *const kinds[] = {"site", "plan", NULL};
	const char *word = skip_blanks(from, end), *name = word;

	while (name < end && !is_blank(*name))
		name++;
	bool site = name - word == 4 && memcmp(word, "site", 4) == 0;
	bool plan = name - word == 4 && memcmp(word, "plan", 4) == 0;
	if (!site && !plan) {
		p->rule = &p->ignored;
		start_rule(p->rule, p->line);
		wrong_word(p, "not a section", (struct span){word, (size_t)(name - word)},
		           heading_accepted, kinds);
		return;
	}
	name = skip_blanks(name, end);
	open_rule(p, (struct span){name, (size_t)(trim_end(name, end) - name)});
	if (plan)
		p->rule->kinds = 0;
}

static void parse_section(struct parser *p, const char *from, const char *end)
{
	const char *close = memchr(from, ']', (size_t)(end - from)), *rest;

	if (!close) {
		p->rule = &p->ignored;
		start_rule(p->rule, p->line);
		mistake(p, end, "\"]\" is missing", no_text, heading_accepted);
		return;
	}
	parse_heading(p, from + 1, close);
	rest = skip_blanks(close + 1, end);
	if (rest < end && *rest != '#' && *rest != ';')
		mistake(p, rest, "text behind \"]\"", (struct span){rest, (size_t)(end - rest)},
		        "a comment, which starts with #");
}

/* Keys. */

static const struct rule_key *find_key(struct span name)
{
	for (const struct rule_key *k = rule_keys; k < rule_keys + RULE_KEYS; k++)
		if (strlen(k->name) == name.length && memcmp(k->name, name.start, name.length) == 0)
			return k;
	return NULL;
}

static void unknown_key(struct parser *p, struct span name)
{
	const char *words[RULE_KEYS + 1] = {NULL};
	char list[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < RULE_KEYS; i++) {
		const char *join = i + 1 == RULE_KEYS ? " or " : ", ";

		words[i] = rule_keys[i].name;
		used += say_into(list + used, sizeof(list) - used, "%s%s", i ? join : "", words[i]);
	}
	wrong_word(p, "unknown key", name, list, words);
}

/* The value, `value` up to a NUL at `end`, of a known key. */
static void set_key(struct parser *p, const struct rule_key *key, const char *value)
{
	struct span wrong;
	char what[64];

	if (!*value) {
		say_into(what, sizeof(what), "%s has no value", key->name);
		mistake(p, value, what, no_text, key->accepted);
		return;
	}
	if (rule_key_take(key, p->rule, value, &wrong))
		return;
	say_into(what, sizeof(what), "wrong value of %s", key->name);
	wrong_word(p, what, wrong, key->accepted, key->words);
}

static void parse_known_key(struct parser *p, const struct rule_key *key, struct span name,
                            const char *value)
{
	unsigned bit = 1u << (key - rule_keys);

	if (p->rule->given & bit) {
		mistake(p, name.start, "second key of this name in the section", name, "one");
		return;
	}
	if (key->needs && rule_is_plan(p->rule)) {
		mistake(p, name.start, "a plan has no matches", name,
		        "settings only; [site NAME] has matches");
		return;
	}
	p->rule->given |= bit;
	p->rules->needs |= key->needs;
	set_key(p, key, value);
}

/* Say it for the first key only. */
static void outside(struct parser *p, const char *at)
{
	mistake(p, at, "a key before the first section", no_text,
	        "[site NAME] or [plan NAME] first");
	p->rule = &p->ignored;
	start_rule(p->rule, p->line);
}

static void parse_key(struct parser *p, const char *from, char *end)
{
	const char *equals = memchr(from, '=', (size_t)(end - from));
	const struct rule_key *key;
	struct span name = {from, 0};

	if (!p->rule)
		outside(p, from);
	if (!equals) {
		mistake(p, end, "\"=\" is missing", no_text, "KEY = VALUE");
		return;
	}
	name.length = (size_t)(trim_end(from, equals) - from);
	*end = '\0';
	key = find_key(name);
	if (key)
		parse_known_key(p, key, name, skip_blanks(equals + 1, end));
	else
		unknown_key(p, name);
}

/* Lines. */

static bool is_comment(const char *start, const char *at)
{
	return (*at == '#' || *at == ';') && (at == start || is_blank(at[-1]));
}

/* Where the line's content ends: before a comment, or at a byte that no text has, which is a
 * mistake; then false. */
static bool find_end(struct parser *p, const char *start, char **end)
{
	char *at = (char *)start, hex[] = "0x00";

	while (at < *end && !is_comment(start, at)) {
		size_t length = character((unsigned char *)at, (size_t)(*end - at));

		if (!length) {
			hex[2] = "0123456789abcdef"[(unsigned char)*at >> 4];
			hex[3] = "0123456789abcdef"[(unsigned char)*at & 15];
			mistake(p, at, "not a text", (struct span){hex, 4},
			        "UTF-8 without control characters");
			return false;
		}
		at += length;
	}
	*end = at;
	return true;
}

static void parse_line(struct parser *p, char *start, char *end)
{
	const char *from;

	p->line++;
	p->start = start;
	if (end > start && end[-1] == '\r')
		end--;
	if (!find_end(p, start, &end))
		return;
	from = skip_blanks(start, end);
	end = (char *)trim_end(from, end);
	if (from == end)
		return;
	if (*from == '[')
		parse_section(p, from, end);
	else
		parse_key(p, from, end);
}

/* Editors of some systems start a file with this mark. */
static size_t byte_order_mark(const char *text, size_t length)
{
	return length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

unsigned rules_parse(struct rules *r, char *text, size_t length, const char *file,
                     rules_complaint complain)
{
	struct parser p = {.rules = r, .file = file, .complain = complain};
	char *end = text + length;

	r->count = 0;
	r->needs = 0;
	text += byte_order_mark(text, length);
	while (text < end) {
		char *newline = memchr(text, '\n', (size_t)(end - text));

		parse_line(&p, text, newline ? newline : end);
		text = newline ? newline + 1 : end;
	}
	if (p.mistakes)
		r->count = r->needs = 0;
	return p.mistakes;
}
