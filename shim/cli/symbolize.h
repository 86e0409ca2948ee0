/*
 * symbolize.h: the function and line behind "module+0xoffset".
 */
#ifndef UNSPLIT_CLI_SYMBOLIZE_H
#define UNSPLIT_CLI_SYMBOLIZE_H

/* `frame` is a return address: a path and the address in that file.  Returns "function (file:line)"
 * or as much of it as the file and its debug information tell; `frame` itself if that is nothing.
 * Good until the next call. */
const char *symbolize(const char *frame);

#endif
