/*
 * emitter.h: one stream of calls, written as text for people or as JSON for programs.
 *
 * Whoever reports says once what there is; the emitter decides how it looks.
 *
 *   object  named values that belong together: a section of the text, an object of the JSON
 *   table   rows with the same values in the same order: a table of the text, an array of objects
 *           of the JSON
 *   key     a name in snake_case: it is all that a program reads, so it does not change
 *   unit    what a number counts, in the plural.  "bytes" are shown in KiB, MiB, ... in the text;
 *           the JSON always has the plain number
 *   help    the rest of the phrase that starts with number and unit ("3", "units", "given back
 *           whole"); text only
 *
 * The text is less than 80 columns wide as long as unit and help together have at most 45
 * characters.  Goes out through a buffer in the struct and write(2): no malloc, no stdio.  An
 * emitter belongs to one thread.
 */
#ifndef UNSPLIT_REPORT_EMITTER_H
#define UNSPLIT_REPORT_EMITTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum emitter_format { EMITTER_TEXT, EMITTER_JSON };

/* All members are the emitter's own. */
struct emitter {
	int fd;
	enum emitter_format format;
	int error;      /* errno value of the first write that failed; nothing is written after */
	unsigned depth; /* JSON: how many braces and brackets are open */
	bool first;     /* JSON: nothing stands yet in the innermost of them */
	bool in_table;  /* text: values are cells, not lines */
	unsigned rows;  /* text: complete rows of the table */
	unsigned cells; /* text: cells in the row being made */
	/* Text: the cells of the row being made.  The keys of the first row go out at once, as the
	 * table's head, so its values must wait until that line is complete. */
	char row[160];
	size_t row_used;
	char buf[1024];
	size_t used;
};

/* Begin; `title` is the first line of the text. */
void emitter_start(struct emitter *e, int fd, enum emitter_format format, const char *title);
/* End, and write what is left.  Returns 0, or the errno value of the first write that failed.  The
 * descriptor stays open. */
int emitter_finish(struct emitter *e);

/* Objects and tables stand at the top, not in each other; `title` heads them in the text. */
void emitter_open_object(struct emitter *e, const char *key, const char *title);
void emitter_close_object(struct emitter *e);
void emitter_open_table(struct emitter *e, const char *key, const char *title);
void emitter_close_table(struct emitter *e);
void emitter_open_row(struct emitter *e);
void emitter_close_row(struct emitter *e);

/* The values.  The first of a row is its name. */
void emitter_number(struct emitter *e, const char *key, uint64_t value, const char *unit,
                    const char *help);
/* How much of `whole` is `part`, in percent with one decimal, cut off and not rounded: 100.0 means
 * all of it.  Not known if `whole` is 0. */
void emitter_percent(struct emitter *e, const char *key, uint64_t part, uint64_t whole,
                     const char *help);
/* `value` may hold any bytes; the text replaces control characters and cuts off what is long. */
void emitter_string(struct emitter *e, const char *key, const char *value, const char *help);
/* A value that could not be found out: "-" in the text, null in the JSON.  Never 0. */
void emitter_unknown(struct emitter *e, const char *key, const char *help);

#endif
