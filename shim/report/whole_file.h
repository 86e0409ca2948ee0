/*
 * whole_file.h: a file that readers find whole, whenever they look.
 *
 * It is written beside its place and then renamed, so that a process that is killed meanwhile
 * leaves the one that was there before.  What is no regular file (a pipe, /dev/stdout), or lies
 * where no other can be made, is written in place.  Allocates nothing.
 */
#ifndef UNSPLIT_REPORT_WHOLE_FILE_H
#define UNSPLIT_REPORT_WHOLE_FILE_H

#include <stddef.h>

struct whole_file {
	int fd;
	char path[1024];
	char part[1056]; /* "" if it is written in place */
};

/* Open it at `where`, a path with %p.  Returns 0 or an errno value. */
int whole_file_open(struct whole_file *f, const char *where);
/* Close it, and put it in its place unless `error`, of the writing, is an errno value.  Returns
 * that, or an errno value of its own, or 0. */
int whole_file_close(struct whole_file *f, int error);

/* The path alone: `where` with every %p replaced by the process id.  Returns 0, or ENAMETOOLONG if
 * it does not fit. */
int report_path(const char *where, char *buf, size_t size);

#endif
