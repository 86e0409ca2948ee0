/*
 * symbol.h: find a symbol of a library in another process.
 *
 * All is read from the process' memory and nothing from the library's file, which may lie in
 * another mount namespace, or have been replaced since the process started.
 */
#ifndef UNSPLIT_CLI_SYMBOL_H
#define UNSPLIT_CLI_SYMBOL_H

#include <stdint.h>

#include "cli/process.h"

/* The address of dynamic symbol `name` of the library that is mapped from `base` on.  0 or an errno
 * value: ENOENT if it has no such symbol, ENOEXEC if what is there is no library. */
int symbol_find(const struct process *p, uint64_t base, const char *name, uint64_t *address);

#endif
