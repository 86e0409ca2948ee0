/* rules_keys.c: what each key of a rule accepts and means. */
#include "site/rules_keys.h"

#include <limits.h>
#include <string.h>

#include "kernel/say.h"
#include "options.h"

enum { GLOB_MAX = 255, NODE_MAX = 1023, SITE_DIGITS = 16 };

/* In the order of the enums of plan.h.  An empty word stands where only silence means the value. */
static const char *const pages_words[] = {"default", "huge", "base", NULL};
static const char *const switch_words[] = {"", "on", "off", NULL};
static const char *const release_words[] = {"", "keep", "balanced", "tight", NULL};
static const char *const thp_words[] = {"", "system", "advised", "off", NULL};
static const char *const node_words[] = {"", "local", "interleave", "", "preferred", NULL};
/* In the order of the bits of enum site_kind. */
static const char *const kind_words[] = {"malloc", "mmap", "shared", NULL};

static const char glob_accepted[] = "a pattern of 1 to 255 bytes, without quotes around it";

const struct rule_key rule_keys[RULE_KEYS] = {
	{"function", KEY_GLOB, RULES_NEED_DEEP, offsetof(struct rule, function), NULL,
         glob_accepted},
	{"module", KEY_GLOB, RULES_NEED_CALLER, offsetof(struct rule, module), NULL, glob_accepted},
	{"caller", KEY_GLOB, RULES_NEED_CALLER, offsetof(struct rule, caller), NULL, glob_accepted},
	{"size", KEY_SIZES, RULES_NEED_SIZE, 0, NULL,
         "a size such as >=1M, <64K, 1M..4M or 64K (with K, M or G)"},
	{"kind", KEY_KINDS, RULES_NEED_KIND, 0, kind_words,
         "malloc, mmap or shared, or several with commas between"},
	{"thread", KEY_GLOB, RULES_NEED_THREAD, offsetof(struct rule, thread), NULL, glob_accepted},
	{"site", KEY_SITE, RULES_NEED_DEEP, 0, NULL, "the 16 hex digits that reports show"},
	{"pages", KEY_WORD, 0, offsetof(struct rule, plan.pages), pages_words,
         "huge, base or default"},
	{"populate", KEY_WORD, 0, offsetof(struct rule, plan.populate), switch_words, "on or off"},
	{"release", KEY_WORD, 0, offsetof(struct rule, plan.release), release_words,
         "keep, balanced or tight"},
	{"heal", KEY_WORD, 0, offsetof(struct rule, plan.heal), switch_words, "on or off"},
	{"node", KEY_NODE, 0, 0, node_words,
         "local, interleave, N or preferred N, N being a node from 0 to 1023"},
	{"name", KEY_NAME, 0, 0, NULL,
         "1 to 47 printable ASCII characters without quotes around them and without [ ] \\ $ `"},
	{"thp", KEY_WORD, 0, offsetof(struct rule, plan.thp), thp_words, "system, advised or off"},
};

/* Words. */

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static bool is_word(struct span s, const char *word)
{
	return s.length && s.length == strlen(word) && memcmp(s.start, word, s.length) == 0;
}

/* The number of the word in the list; -1 if it is not there. */
static int find_word(const char *const *words, struct span s)
{
	for (int i = 0; words[i]; i++)
		if (is_word(s, words[i]))
			return i;
	return -1;
}

const char *rule_word_near(const char *const *words, struct span word)
{
	const char *nearest = NULL;
	unsigned best = UINT_MAX;
	char text[32]; /* ours are shorter, so what does not fit is not near */

	if (word.length >= sizeof(text))
		return NULL;
	memcpy(text, word.start, word.length);
	text[word.length] = '\0';
	for (; *words; words++) {
		unsigned distance = **words ? typing_distance(text, *words) : UINT_MAX;

		if (distance < best) {
			best = distance;
			nearest = *words;
		}
	}
	return nearest;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

static struct span trimmed(struct span s)
{
	for (; s.length && is_blank(*s.start); s.length--)
		s.start++;
	while (s.length && is_blank(s.start[s.length - 1]))
		s.length--;
	return s;
}

/* Numbers. */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Take the number that `*p` starts with; false if there is none or it is too big. */
static bool take_number(const char **p, uint64_t *value)
{
	if (!is_digit(**p))
		return false;
	for (*value = 0; is_digit(**p); (*p)++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(**p - '0'), value))
			return false;
	return true;
}

static bool take_size(const char **p, uint64_t *value)
{
	static const char units[] = "KMG";
	const char *unit;

	if (!take_number(p, value))
		return false;
	unit = **p ? strchr(units, **p) : NULL;
	if (!unit)
		return true;
	(*p)++;
	return !__builtin_mul_overflow(*value, UINT64_C(1) << 10 * (unit - units + 1), value);
}

/* Take the comparison that `*p` starts with and the size behind it. */
static bool take_bound(const char **p, struct rule *rule)
{
	bool less = **p == '<', equal = (*p)[1] == '=';
	uint64_t value;

	*p = skip_blanks(*p + 1 + equal);
	if (!take_size(p, &value) || (!equal && value == (less ? 0 : UINT64_MAX)))
		return false;
	if (less)
		rule->most = value - !equal;
	else
		rule->least = value + !equal;
	return true;
}

/* "SIZE" or "SIZE..SIZE" */
static bool take_range(const char **p, struct rule *rule)
{
	if (!take_size(p, &rule->least))
		return false;
	rule->most = rule->least;
	*p = skip_blanks(*p);
	if (strncmp(*p, "..", 2) != 0)
		return true;
	*p = skip_blanks(*p + 2);
	return take_size(p, &rule->most) && rule->least <= rule->most;
}

static bool take_sizes(struct rule *rule, const char *p)
{
	bool ok = *p == '<' || *p == '>' ? take_bound(&p, rule) : take_range(&p, rule);

	return ok && !*p;
}

static bool take_node(struct plan *plan, const char *p)
{
	const char *end = p + strcspn(p, " \t");
	int word = find_word(node_words, (struct span){p, (size_t)(end - p)});
	uint64_t node;

	plan->node_mode = word < 0 ? NODE_BIND : (uint8_t)word;
	if (word == NODE_LOCAL || word == NODE_INTERLEAVE)
		return !*end;
	if (word == NODE_PREFERRED)
		p = skip_blanks(end);
	if (!take_number(&p, &node) || *p || node > NODE_MAX)
		return false;
	plan->node = (uint16_t)node;
	return true;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_site(struct rule *rule, const char *p)
{
	if (strlen(p) != SITE_DIGITS)
		return false;
	rule->site = 0;
	rule->has_site = true;
	for (; *p; p++) {
		if (hex_digit(*p) < 0)
			return false;
		rule->site = rule->site << 4 | (uint64_t)hex_digit(*p);
	}
	return true;
}

/* Texts. */

static bool is_quoted(const char *value)
{
	return *value == '"' || *value == '\'';
}

/* Quotes would be a part of the pattern, and the rule would silently never hold. */
static bool take_glob(const char **glob, const char *value)
{
	*glob = value;
	return !is_quoted(value) && strlen(value) <= GLOB_MAX;
}

/* The kernel takes no other characters for a name (PR_SET_VMA_ANON_NAME in prctl(2)). */
static bool take_name(char *name, const char *value)
{
	size_t length = strlen(value);

	if (is_quoted(value) || length >= RULES_TITLE_SIZE)
		return false;
	for (const char *p = value; *p; p++)
		if (*p < ' ' || *p > '~' || strchr("[]\\$`", *p))
			return false;
	memcpy(name, value, length + 1);
	return true;
}

/* Only the wrong one of several words is to be shown. */
static bool take_kinds(struct rule *rule, const char *value, struct span *wrong)
{
	rule->kinds = 0;
	for (;;) {
		size_t length = strcspn(value, ",");
		struct span word = trimmed((struct span){value, length});
		int kind = find_word(kind_words, word);

		if (kind < 0) {
			*wrong = word;
			return false;
		}
		rule->kinds |= 1u << kind;
		if (!value[length])
			return true;
		value += length + 1;
	}
}

static bool take_word(const struct rule_key *key, struct rule *rule, const char *value)
{
	int word = find_word(key->words, span_of(value));

	if (word >= 0)
		*((uint8_t *)rule + key->offset) = (uint8_t)word;
	return word >= 0;
}

bool rule_key_take(const struct rule_key *key, struct rule *rule, const char *value,
                   struct span *wrong)
{
	*wrong = span_of(value);
	switch (key->type) {
	case KEY_GLOB:
		return take_glob((const char **)((char *)rule + key->offset), value);
	case KEY_SIZES:
		return take_sizes(rule, value);
	case KEY_KINDS:
		return take_kinds(rule, value, wrong);
	case KEY_SITE:
		return take_site(rule, value);
	case KEY_WORD:
		return take_word(key, rule, value);
	case KEY_NODE:
		return take_node(&rule->plan, value);
	case KEY_NAME:
		return take_name(rule->plan.name, value);
	}
	return false;
}

/* The way back. */

static size_t show_size(uint64_t value, char *buf, size_t size)
{
	static const char *const units[] = {"", "K", "M", "G"};
	unsigned unit = 0;

	for (; unit < 3 && value && value % 1024 == 0; unit++)
		value /= 1024;
	return say_into(buf, size, "%lu%s", (unsigned long)value, units[unit]);
}

/* A bound without its "=" where that makes the rounder number. */
static void show_bound(const char *sign, uint64_t value, uint64_t beyond, char *buf, size_t size)
{
	bool rounder = beyond % 1024 == 0 && beyond;
	char number[32];

	show_size(rounder ? beyond : value, number, sizeof(number));
	say_into(buf, size, "%s%s%s", sign, rounder ? "" : "=", number);
}

static void show_sizes(const struct rule *rule, char *buf, size_t size)
{
	char least[32], most[32];

	show_size(rule->least, least, sizeof(least));
	show_size(rule->most, most, sizeof(most));
	if (rule->least == rule->most)
		say_into(buf, size, "%s", least);
	else if (rule->most == UINT64_MAX)
		show_bound(">", rule->least, rule->least - 1, buf, size);
	else if (rule->least == 0)
		show_bound("<", rule->most, rule->most + 1, buf, size);
	else
		say_into(buf, size, "%s..%s", least, most);
}

static void show_kinds(unsigned kinds, char *buf, size_t size)
{
	char list[64] = "";
	size_t used = 0;

	for (unsigned i = 0; kind_words[i]; i++)
		if (kinds & 1u << i)
			used += say_into(list + used, sizeof(list) - used, "%s%s", used ? "," : "",
			                 kind_words[i]);
	say_into(buf, size, "%s", list);
}

static void show_site(uint64_t site, char *buf, size_t size)
{
	char digits[SITE_DIGITS + 1];

	for (int i = 0; i < SITE_DIGITS; i++)
		digits[i] = "0123456789abcdef"[site >> 4 * (SITE_DIGITS - 1 - i) & 15];
	digits[SITE_DIGITS] = '\0';
	say_into(buf, size, "%s", digits);
}

static void show_node(const struct plan *plan, char *buf, size_t size)
{
	if (plan->node_mode == NODE_BIND)
		say_into(buf, size, "%u", plan->node);
	else if (plan->node_mode == NODE_PREFERRED)
		say_into(buf, size, "preferred %u", plan->node);
	else
		say_into(buf, size, "%s", node_words[plan->node_mode]);
}

void rule_key_show(const struct rule_key *key, const struct rule *rule, char *buf, size_t size)
{
	const char *member = (const char *)rule + key->offset;

	switch (key->type) {
	case KEY_GLOB:
		say_into(buf, size, "%s", *(const char *const *)member);
		break;
	case KEY_SIZES:
		show_sizes(rule, buf, size);
		break;
	case KEY_KINDS:
		show_kinds(rule->kinds, buf, size);
		break;
	case KEY_SITE:
		show_site(rule->site, buf, size);
		break;
	case KEY_WORD:
		say_into(buf, size, "%s", key->words[*(const uint8_t *)member]);
		break;
	case KEY_NODE:
		show_node(&rule->plan, buf, size);
		break;
	case KEY_NAME:
		say_into(buf, size, "%s", rule->plan.name);
		break;
	}
}
