/*
 * sysfs.c: small reads of /sys and /proc.
 *
 * The bare system calls are used throughout: open(), read() and close() are cancellation points,
 * and a thread that is cancelled inside malloc would leave with our locks held.
 */
#include "kernel/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The file descriptor, or -errno. */
static long open_file(const char *path)
{
	int saved_errno = errno;
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fd = -errno;
	errno = saved_errno;
	return fd;
}

/* Bytes read (0 at the end of the file), or -errno. */
static long read_some(long fd, char *buf, size_t size)
{
	int saved_errno = errno;
	long n;

	do {
		n = syscall(SYS_read, fd, buf, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	errno = saved_errno;
	return n;
}

static void close_file(long fd)
{
	int saved_errno = errno;

	syscall(SYS_close, fd);
	errno = saved_errno;
}

long sysfs_read(const char *path, char *buf, size_t size)
{
	size_t total = 0;
	long n = 0;
	long fd;

	if (!size)
		return -EINVAL;
	buf[0] = '\0';
	fd = open_file(path);
	if (fd < 0)
		return fd;
	while (total < size - 1) {
		n = read_some(fd, buf + total, size - 1 - total);
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	close_file(fd);
	buf[total] = '\0';
	return n < 0 ? n : (long)total;
}

/* Take one more decimal digit; false if the number no longer fits. */
static bool take_digit(uint64_t *value, char c)
{
	return !__builtin_mul_overflow(*value, 10, value) &&
	       !__builtin_add_overflow(*value, (uint64_t)(c - '0'), value);
}

bool sysfs_number(const char *path, uint64_t *value)
{
	char text[32]; /* 20 digits and more than the blanks and newline around them */
	uint64_t number = 0;
	const char *p = text;

	if (sysfs_read(path, text, sizeof(text)) <= 0)
		return false;
	while (is_blank(*p))
		p++;
	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
		if (!take_digit(&number, *p))
			return false;
	*value = number;
	return true;
}

bool sysfs_choice(const char *path, char *word, size_t size)
{
	char text[256];
	const char *open, *close;
	size_t length;

	if (sysfs_read(path, text, sizeof(text)) <= 0)
		return false;
	open = strchr(text, '[');
	close = open ? strchr(open, ']') : NULL;
	if (!close)
		return false;
	length = (size_t)(close - open - 1);
	if (length >= size)
		return false; /* half a word could be mistaken for another one */
	memcpy(word, open + 1, length);
	word[length] = '\0';
	return true;
}

/* Where in a line of "key: number" the search is.  It is fed one character at a time, so that a
 * line may straddle two reads. */
struct search {
	const char *key;
	size_t matched; /* characters of the key */
	enum { IN_KEY, AFTER_KEY, IN_NUMBER, IN_OTHER_LINE } where;
	uint64_t value;
};

static void start_line(struct search *s)
{
	s->where = IN_KEY;
	s->matched = 0;
	s->value = 0;
}

static void feed_key(struct search *s, char c)
{
	if (s->key[s->matched])
		s->where = s->key[s->matched++] == c ? IN_KEY : IN_OTHER_LINE;
	else /* only the whole word counts: "thp_split_p" is not "thp_split_pmd" */
		s->where = c == ':' || is_blank(c) ? AFTER_KEY : IN_OTHER_LINE;
}

static void feed_number(struct search *s, char c)
{
	if (s->where == AFTER_KEY && (c == ':' || is_blank(c)))
		return;
	s->where = is_digit(c) && take_digit(&s->value, c) ? IN_NUMBER : IN_OTHER_LINE;
}

/* True when the number is complete. */
static bool feed(struct search *s, char c)
{
	if (s->where == IN_NUMBER && !is_digit(c))
		return true;
	if (c == '\n')
		start_line(s);
	else if (s->where == IN_KEY)
		feed_key(s, c);
	else if (s->where != IN_OTHER_LINE)
		feed_number(s, c);
	return false;
}

static bool search_file(struct search *s, long fd)
{
	char piece[1024]; /* small: the caller may be on a thread's or a signal's little stack */
	long n;

	start_line(s);
	while ((n = read_some(fd, piece, sizeof(piece))) > 0)
		for (long i = 0; i < n; i++)
			if (feed(s, piece[i]))
				return true;
	return n == 0 && s->where == IN_NUMBER; /* the last line may lack its newline */
}

bool sysfs_field(const char *path, const char *key, uint64_t *value)
{
	struct search s = {.key = key};
	long fd = open_file(path);
	bool found;

	if (fd < 0)
		return false;
	found = search_file(&s, fd);
	close_file(fd);
	if (found)
		*value = s.value;
	return found;
}

/* Where in a list of NUL-terminated "NAME=value" entries the search is. */
struct entry_search {
	const char *name;
	size_t matched; /* characters of the name and its '=' */
	enum { IN_NAME, IN_VALUE, IN_OTHER_ENTRY } where;
	char *value;
	size_t size, length;
};

static void feed_name(struct entry_search *s, char c)
{
	if (s->name[s->matched])
		s->where = s->name[s->matched++] == c ? IN_NAME : IN_OTHER_ENTRY;
	else
		s->where = c == '=' ? IN_VALUE : IN_OTHER_ENTRY;
}

/* True when the entry is complete. */
static bool feed_entry(struct entry_search *s, char c)
{
	if (s->where == IN_VALUE) {
		if (s->length < s->size)
			s->value[s->length++] = c;
		return c == '\0';
	}
	if (c == '\0') {
		s->where = IN_NAME;
		s->matched = 0;
	} else if (s->where == IN_NAME) {
		feed_name(s, c);
	}
	return false;
}

static bool search_entries(struct entry_search *s, long fd)
{
	char piece[1024];
	long n;

	while ((n = read_some(fd, piece, sizeof(piece))) > 0)
		for (long i = 0; i < n; i++)
			if (feed_entry(s, piece[i]))
				return s->value[s->length - 1] == '\0'; /* else it was too long */
	return false;
}

bool sysfs_entry(const char *path, const char *name, char *value, size_t size)
{
	struct entry_search s = {.name = name, .value = value, .size = size};
	long fd = size ? open_file(path) : -1;
	bool found;

	if (fd < 0)
		return false;
	found = search_entries(&s, fd);
	close_file(fd);
	return found;
}
