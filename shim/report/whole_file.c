#include "report/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h> /* rename() */
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/say.h"

int report_path(const char *where, char *buf, size_t size)
{
	size_t used = 0;

	while (*where && used < size) {
		if (where[0] == '%' && where[1] == 'p') {
			used += say_into(buf + used, size - used, "%d", (int)getpid());
			where += 2;
		} else {
			buf[used++] = *where++;
		}
	}
	if (used >= size)
		return ENAMETOOLONG;
	buf[used] = '\0';
	return 0;
}

static bool is_replaceable(const char *path)
{
	struct stat s;

	return lstat(path, &s) == 0 ? S_ISREG(s.st_mode) : errno == ENOENT;
}

/* A descriptor, or a negative errno value. */
static int open_new(const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fd;
}

int whole_file_open(struct whole_file *f, const char *where)
{
	int error = report_path(where, f->path, sizeof(f->path));

	if (error)
		return error;
	/* Each thread has a name of its own. */
	say_into(f->part, sizeof(f->part), "%s.%d.part", f->path, (int)gettid());
	f->fd = is_replaceable(f->path) ? open_new(f->part) : -EEXIST;
	if (f->fd < 0) {
		f->part[0] = '\0';
		f->fd = open_new(f->path);
	}
	return f->fd < 0 ? -f->fd : 0;
}

int whole_file_close(struct whole_file *f, int error)
{
	close(f->fd);
	if (!f->part[0])
		return error;
	if (!error && rename(f->part, f->path) != 0)
		error = errno;
	if (error)
		unlink(f->part);
	return error;
}
