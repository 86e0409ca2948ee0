/* glob.c: shell patterns. */
#include "site/glob.h"

/* Whether `c` is in the set that starts at `set`, behind its "[".  `end` gets what follows its "]",
 * or NULL if there is none. */
static bool in_set(const char *set, unsigned char c, const char **end)
{
	bool negated = *set == '!' || *set == '^';
	const char *p = set + negated, *first = p;
	bool found = false;

	*end = NULL;
	for (; *p && (*p != ']' || p == first); p++) {
		unsigned char least = (unsigned char)*p, most = least;

		if (p[1] == '-' && p[2] && p[2] != ']') {
			most = (unsigned char)p[2];
			p += 2;
		}
		found = found || (c >= least && c <= most);
	}
	if (*p)
		*end = p + 1;
	return found != negated;
}

/* Whether the pattern's first element, which is no star, takes `c`; `next` gets what follows it. */
static bool takes(const char *pattern, char c, const char **next)
{
	*next = pattern + 1;
	if (*pattern == '[') {
		const char *end;
		bool found = in_set(pattern + 1, (unsigned char)c, &end);

		if (end) {
			*next = end;
			return found;
		}
	}
	return *pattern == '?' || *pattern == c;
}

/* Where a star gave up one byte too few is all that need be remembered, and for the last star only:
 * whatever fits what stands before it may stay as it is. */
bool glob_match(const char *pattern, const char *text, size_t length)
{
	const char *end = text + length, *star = NULL, *resume = NULL, *next;

	while (text < end) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
		} else if (*pattern && takes(pattern, *text, &next)) {
			pattern = next;
			text++;
		} else if (star) {
			pattern = star;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}
