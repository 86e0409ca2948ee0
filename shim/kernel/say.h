/*
 * say.h: one line to stderr, by write(2), from anywhere.
 *
 * Used where stdio may not be: before constructors, under locks, in a signal handler.  Allocates
 * nothing, keeps errno.  The formats are those of printf, restricted to %s %d %u %lu %zu %p %c %%.
 */
#ifndef UNSPLIT_KERNEL_SAY_H
#define UNSPLIT_KERNEL_SAY_H

#include <stdarg.h>
#include <stddef.h>

/* Format into `buf` (always NUL-terminated).  Returns the length the whole text has, as snprintf.
 */
size_t say_format(char *buf, size_t size, const char *format, va_list args);
size_t say_into(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Write "unsplit: <text>\n" to stderr. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, then abort(): for a program that corrupted its heap, or a bug of ours. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* An invariant of ours.  Always checked: the checks are cheap and off the fast paths. */
#define must(cond)                                                                                 \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			die("internal error: %s:%d: %s", __FILE__, __LINE__, #cond);               \
	} while (0)

#endif
