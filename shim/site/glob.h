/*
 * glob.h: shell patterns over names.
 *
 *   *       any text, also none
 *   ?       any one byte
 *   [a-z_]  one byte out of these; [!a-z] or [^a-z] one that is not.  A "]" that comes first and a
 *           "-" that comes first or last stand for themselves
 *
 * Everything else stands for itself, as does a "[" that nothing closes ("operator[]" means just
 * that).  There is no escape: [*] is a star.  Case counts.
 */
#ifndef UNSPLIT_SITE_GLOB_H
#define UNSPLIT_SITE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the whole of text[0..length) fits the pattern.  Pure; takes at most strlen(pattern) *
 * length steps and constant stack, whatever the pattern is. */
bool glob_match(const char *pattern, const char *text, size_t length);

#endif
