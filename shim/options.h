/*
 * options.h: the options, in one table.
 *
 * The table is options.def; the parser, `unsplit options` and the help texts come out of it.  A
 * user sets options with UNSPLIT_CONF=key:value,key:value (or by `unsplit run
 * --key=value`, which sets that variable).
 *
 * options_load() runs once, before the first allocation is served, and allocates nothing.  After
 * it the values are only read.
 */
#ifndef UNSPLIT_OPTIONS_H
#define UNSPLIT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
	OPTION_BOOL,    /* on, off */
	OPTION_SIZE,    /* bytes: a number with an optional K, M or G (powers of 1024) */
	OPTION_PERCENT, /* a number with an optional % */
	OPTION_MS,      /* milliseconds: a number with an optional ms or s */
	OPTION_NUMBER,  /* a number */
	OPTION_ENUM,    /* one of the words of `words` */
	OPTION_TEXT,    /* any text without ',' */
};

enum { RELEASE_KEEP, RELEASE_BALANCED, RELEASE_TIGHT };
enum { BACKGROUND_AUTO, BACKGROUND_ON, BACKGROUND_OFF };
enum { PROCESS_THP_SYSTEM, PROCESS_THP_ADVISED, PROCESS_THP_OFF };
enum { APP_THP_HONOUR, APP_THP_SOFTEN, APP_THP_IGNORE };

/* The values.  One member for each line of options.def, with the line's name. */
struct options {
#define OPTION_BOOL(name, def, help)              bool name;
#define OPTION_SIZE(name, def, min, max, help)    size_t name;
#define OPTION_PERCENT(name, def, min, max, help) unsigned name;
#define OPTION_MS(name, def, min, max, help)      unsigned name;
#define OPTION_NUMBER(name, def, min, max, help)  unsigned name;
#define OPTION_ENUM(name, def, words, help)       unsigned name;
#define OPTION_TEXT(name, def, help)              char name[256];
#include "options.def"
};

extern struct options options;

/* One line of the table, for help texts and parsing. */
struct option_row {
	const char *name;
	enum option_type type;
	uint64_t def, min, max;
	const char *words; /* OPTION_ENUM: "a|b|c", in the order of the values */
	const char *text;  /* OPTION_TEXT: the default */
	const char *help;
	size_t offset; /* of the member in struct options */
};

extern const struct option_row option_rows[];
extern const size_t option_count;

/* What to tell of a mistake: one call for each, with a whole line's text (no newline). */
typedef void (*option_complaint)(const char *line);

/* Set every option to its default. */
void options_default(struct options *o);

/* Parse `text` as a value of `row` into `o`.  False, and nothing changes, if it is not accepted.
 * Pure. */
bool option_parse(const struct option_row *row, const char *text, struct options *o);

/* Set one option by name; `value` is NULL if none was given.  On a mistake nothing changes, and
 * `mistake` gets what is wrong: the option, the value and what is accepted, or for an unknown name
 * the nearest known one if there is one near.  Pure. */
bool options_set(struct options *o, const char *name, const char *value, char *mistake,
                 size_t size);

/* Parse "key:value,key:value" over the values in `o`; blanks around keys and values, and empty
 * entries, are skipped.  For each unknown key or bad value calls `complain` with one line: what
 * options_set() says, and the value used now; the other entries still take effect.
 * Returns the number of mistakes.  Pure, thread-safe, allocates nothing. */
unsigned options_parse(struct options *o, const char *conf, option_complaint complain);

/* Write what `row` accepts ("on or off", "a size from 0 to 64G, such as 64K or 1M", ...). */
void option_accepts(const struct option_row *row, char *buf, size_t size);
/* Write the value that `o` holds for `row`, in the form the parser takes. */
void option_show(const struct option_row *row, const struct options *o, char *buf, size_t size);

/* How many letters must be changed, added, dropped or swapped to turn `a` into `b`; UINT_MAX if
 * that is so many that nobody who wrote `a` can have meant `b`.  For "did you mean". */
unsigned typing_distance(const char *a, const char *b);

/* Set `options` from the environment: defaults, then UNSPLIT_CONF unless the process runs with
 * raised privileges (AT_SECURE; then the environment is not ours to trust).  Mistakes go to stderr;
 * if there is one and strict is on, the process exits with status 2. */
void options_load(void);

#endif
