/*
 * symbolize.h: the function and line behind "module+0xoffset".
 */
#ifndef UNSPLIT_CLI_SYMBOLIZE_H
#define UNSPLIT_CLI_SYMBOLIZE_H

#include <stdbool.h>

/* `frame` is a return address: a path and the address in that file.  Returns "function (file:line)"
 * or as much of it as the file and its debug information tell; `frame` itself if that is nothing.
 * Good until the next call. */
const char *symbolize(const char *frame);
/* The function alone; "" if it is not known.  Good until the next call. */
const char *symbolize_function(const char *frame);
/* The same for a line of text: of a file that tells nothing, its name without directories. */
const char *frame_text(const char *frame, bool symbols);

#endif
