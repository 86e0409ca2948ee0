/*
 * rules_keys.h: the keys of a rule, in one table.
 *
 * The parser, `unsplit check` and the tests go by it.  All functions are pure and allocate nothing.
 */
#ifndef UNSPLIT_SITE_RULES_KEYS_H
#define UNSPLIT_SITE_RULES_KEYS_H

#include "site/rules.h"

enum rule_key_type { KEY_GLOB, KEY_SIZES, KEY_KINDS, KEY_SITE, KEY_WORD, KEY_NODE, KEY_NAME };

struct rule_key {
	const char *name;
	enum rule_key_type type;
	unsigned needs; /* RULES_NEED_... of a match; 0 for a setting */
	size_t offset;  /* of the member in struct rule, for KEY_GLOB and KEY_WORD */
	/* What a value may consist of, for KEY_WORD in the order of the enum; ended by NULL.  NULL
	 * if there are no words. */
	const char *const *words;
	const char *accepted;
};

enum { RULE_KEYS = 14 };
extern const struct rule_key rule_keys[RULE_KEYS];

/* A part of a text. */
struct span {
	const char *start;
	size_t length;
};

/* Set what `value` says; globs point to it.  If it is not accepted, false, and `wrong` gets the
 * part of it that is wrong. */
bool rule_key_take(const struct rule_key *key, struct rule *rule, const char *value,
                   struct span *wrong);
/* Write the value of the key, which must be given, in a form that rule_key_take() takes. */
void rule_key_show(const struct rule_key *key, const struct rule *rule, char *buf, size_t size);

/* The word of `words` that somebody who wrote `word` may have meant; NULL if none is near. */
const char *rule_word_near(const char *const *words, struct span word);

#endif
