/*
 * sysfs.h: small reads of /sys and /proc without stdio and without malloc.
 *
 * All functions are thread-safe and async-signal-safe, keep errno, and allocate nothing.
 */
#ifndef UNSPLIT_KERNEL_SYSFS_H
#define UNSPLIT_KERNEL_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read at most `size - 1` bytes of the file and end them with NUL.  Returns the number of bytes
 * read, or -errno. */
long sysfs_read(const char *path, char *buf, size_t size);
/* The number the file starts with; false if it cannot be read or is no number. */
bool sysfs_number(const char *path, uint64_t *value);
/* The word in [brackets] of a knob such as transparent_hugepage/enabled ("always [madvise] never");
 * false if the file cannot be read or no word is in brackets. */
bool sysfs_choice(const char *path, char *word, size_t size);
/* Find `key` at the start of a line in the text of a file such as /proc/vmstat or /proc/PID/status
 * (any size: it is read in pieces) and return the number after it and an optional ':' and
 * blanks.  False if there is no such line. */
bool sysfs_field(const char *path, const char *key, uint64_t *value);
/* Find NAME=value in a file of NUL-terminated entries such as /proc/self/environ (any size) and
 * copy the value.  False if there is none or it does not fit. */
bool sysfs_entry(const char *path, const char *name, char *value, size_t size);

#define SYSFS_THP "/sys/kernel/mm/transparent_hugepage/"

#endif
