/* say.c: a printf that needs nothing but write(2). */
#include "kernel/say.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A text being written into a buffer that may be too small for it. */
struct sink {
	char *buf;
	size_t size;
	size_t length; /* of the whole text, whether it fits or not */
};

static void put(struct sink *s, char c)
{
	if (s->length + 1 < s->size)
		s->buf[s->length] = c;
	s->length++;
}

static void put_text(struct sink *s, const char *text)
{
	while (*text)
		put(s, *text++);
}

static void put_number(struct sink *s, uint64_t value, unsigned base)
{
	char digits[20]; /* enough for 2^64 - 1 in decimal */
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		put(s, digits[--n]);
}

static void put_signed(struct sink *s, int value)
{
	/* Negated as unsigned, because -INT_MIN is no int. */
	unsigned magnitude = value < 0 ? -(unsigned)value : (unsigned)value;

	if (value < 0)
		put(s, '-');
	put_number(s, magnitude, 10);
}

static void put_pointer(struct sink *s, const void *p)
{
	if (!p) {
		put_text(s, "(nil)");
		return;
	}
	put_text(s, "0x");
	put_number(s, (uintptr_t)p, 16);
}

static void put_string(struct sink *s, const char *text)
{
	put_text(s, text ? text : "(null)");
}

size_t say_format(char *buf, size_t size, const char *format, va_list args)
{
	struct sink s = {buf, size, 0};
	const char *f = format;

	for (; *f; f++) {
		if (*f != '%') {
			put(&s, *f);
			continue;
		}
		f++;
		if (*f == 's') {
			put_string(&s, va_arg(args, const char *));
		} else if (*f == 'd') {
			put_signed(&s, va_arg(args, int));
		} else if (*f == 'u') {
			put_number(&s, va_arg(args, unsigned), 10);
		} else if (*f == 'p') {
			put_pointer(&s, va_arg(args, void *));
		} else if (*f == 'c') {
			put(&s, (char)va_arg(args, int));
		} else if (*f == '%') {
			put(&s, '%');
		} else if ((*f == 'l' || *f == 'z') && f[1] == 'u') {
			/* size_t and unsigned long are the same type wherever Linux runs. */
			put_number(&s, va_arg(args, unsigned long), 10);
			f++;
		} else {
			/* The size of the argument is unknown, and so is where the next one is:
			 * the rest is shown as it stands. */
			put_text(&s, f - 1);
			break;
		}
	}
	if (size)
		buf[s.length < size ? s.length : size - 1] = '\0';
	return s.length;
}

size_t say_into(char *buf, size_t size, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = say_format(buf, size, format, args);
	va_end(args);
	return length;
}

/* The bare system call: write() is a cancellation point, and a thread that is cancelled inside
 * malloc would leave with our locks held. */
static void write_all(const char *text, size_t length)
{
	int saved_errno = errno;

	while (length) {
		long written = syscall(SYS_write, STDERR_FILENO, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break; /* nobody is left to be told */
		text += written;
		length -= (size_t)written;
	}
	errno = saved_errno;
}

/* One write for the whole line, so that lines of several threads or processes do not mix. */
static void say_line(const char *format, va_list args)
{
	static const char prefix[] = "unsplit: ";
	char line[1024];
	size_t start = sizeof(prefix) - 1;
	size_t room = sizeof(line) - start - 1; /* the NUL's place is the newline's in the end */
	size_t length;

	memcpy(line, prefix, start);
	length = say_format(line + start, room, format, args);
	if (length > room - 1)
		length = room - 1;
	line[start + length] = '\n';
	write_all(line, start + length + 1);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(format, args);
	va_end(args);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(format, args);
	va_end(args);
	abort();
}
