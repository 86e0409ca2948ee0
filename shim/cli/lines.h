/*
 * lines.h: a file of /proc or /sys, line by line.
 */
#ifndef UNSPLIT_CLI_LINES_H
#define UNSPLIT_CLI_LINES_H

typedef void (*line_visitor)(char *line, void *arg);

/* Visit each line of the file at `path`; the visitor may write into it.  0 or an errno value. */
int lines_each(const char *path, line_visitor visit, void *arg);

#endif
