/*
 * report_file.h: an exit report that was written as JSON (report/report.h), read again.
 */
#ifndef UNSPLIT_CLI_REPORT_FILE_H
#define UNSPLIT_CLI_REPORT_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report_file {
	const char *path;
	json_t *root;
};

/* Read and check a file.  False after a line on stderr that says where it is wrong. */
bool report_file_read(struct report_file *f, const char *path);
void report_file_close(struct report_file *f);

/* The number at root[section][key], or at root[key] if `section` is NULL.  False if it is not
 * there, or is null: the program could not find it out. */
bool report_number(const struct report_file *f, const char *section, const char *key,
                   uint64_t *value);
/* root[key], or "-". */
const char *report_string(const struct report_file *f, const char *key);

#endif
