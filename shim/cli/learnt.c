/* learnt.c: profiles of call sites: read, add up, write. */
#include "cli/learnt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "kernel/say.h"

/* ---- the table ---- */

static struct profile_row *row_of(struct learnt *l, const char *site)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->rows[i].site, site) == 0)
			return &l->rows[i];
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->rows = reallocarray(l->rows, l->room, sizeof(*l->rows));
		if (!l->rows)
			die("out of memory");
	}
	l->rows[l->count] = (struct profile_row){.site = text("%s", site)};
	return &l->rows[l->count++];
}

static const char *named(const char *old, const char *other)
{
	return old && *old ? old : text("%s", other ? other : "");
}

static void merge(struct learnt *l, const struct profile_row *from)
{
	struct profile_row *to = row_of(l, from->site);

	to->caller = named(to->caller, from->caller);
	to->module = named(to->module, from->module);
	to->frames = named(to->frames, from->frames);
	to->requests += from->requests;
	to->bytes += from->bytes;
	to->peak = to->peak > from->peak ? to->peak : from->peak;
	to->lifetime_us += from->lifetime_us;
	to->possible_us += from->possible_us;
	to->room += from->room;
	to->touched += from->touched;
}

/* ---- reading ---- */

/* Our own emitter wrote it, one value a line and without nesting; so this is all the JSON there
 * is. */
static bool key_and_value(char *line, char **key, char **value)
{
	char *start = strchr(line, '"'), *end = start ? strstr(start, "\": ") : NULL;

	if (!end)
		return false;
	*end = '\0';
	*key = start + 1;
	*value = end + 3;
	end = *value + strcspn(*value, "\n");
	*end = '\0';
	if (end > *value && end[-1] == ',')
		end[-1] = '\0';
	return true;
}

/* What stands between quotes, with the escapes that the emitter makes undone. */
static char *unquoted(char *value)
{
	char *from = value + (*value == '"'), *to = value;

	while (*from && *from != '"') {
		unsigned code = '?';

		if (*from == '\\' && from[1] == 'u' && sscanf(from + 2, "%4x", &code) == 1) {
			*to++ = (char)code;
			from += strnlen(from, 6);
			continue;
		}
		from += *from == '\\' && from[1];
		*to++ = *from++;
	}
	*to = '\0';
	return value;
}

static bool take_number(struct profile_row *row, const char *key, const char *value)
{
	const struct {
		const char *key;
		uint64_t *to;
	} numbers[] = {
		{"requests", &row->requests},
		{"bytes", &row->bytes},
		{"peak", &row->peak},
		{"lifetime_us", &row->lifetime_us},
		{"possible_us", &row->possible_us},
		{"room", &row->room},
		{"touched", &row->touched},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(key, numbers[i].key) == 0) {
			*numbers[i].to = strtoull(value, NULL, 10);
			return true;
		}
	}
	return false;
}

static void take_text(struct profile_row *row, const char *key, char *value)
{
	const char **to = strcmp(key, "caller") == 0   ? &row->caller
	                  : strcmp(key, "module") == 0 ? &row->module
	                  : strcmp(key, "frames") == 0 ? &row->frames
	                                               : NULL;

	if (to)
		*to = text("%s", unquoted(value));
}

static bool is_hash(const char *site)
{
	return strlen(site) == 16 && strspn(site, "0123456789abcdef") == 16;
}

static void finish_row(struct learnt *l, struct profile_row *row)
{
	if (row->site && is_hash(row->site))
		merge(l, row);
	*row = (struct profile_row){0};
}

bool learnt_add(struct learnt *l, FILE *profile)
{
	struct profile_row row = {0};
	bool known = false;
	char *line = NULL, *key, *value;
	size_t size = 0;

	while (getline(&line, &size, profile) > 0) {
		if (!key_and_value(line, &key, &value))
			continue;
		if (strcmp(key, "profile") == 0)
			known = strtoul(value, NULL, 10) == PROFILE_VERSION;
		if (!known)
			break;
		if (strcmp(key, "site") == 0) {
			finish_row(l, &row);
			row.site = text("%s", unquoted(value));
		} else if (!take_number(&row, key, value)) {
			take_text(&row, key, value);
		}
	}
	finish_row(l, &row);
	free(line);
	l->profiles += known;
	return known;
}

/* ---- writing ---- */

int learnt_write(const struct learnt *l, int fd)
{
	struct emitter e;

	profile_head(&e, fd);
	for (size_t i = 0; i < l->count; i++)
		profile_row(&e, &l->rows[i]);
	return profile_foot(&e);
}
