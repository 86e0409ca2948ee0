/*
 * symbols.h: the names of functions.
 *
 * Read from the file's own symbol table, else from its debug file (/usr/lib/debug/.build-id), else
 * from the names it exports.  Demangled by the process's own __cxa_demangle() if it had one when we
 * started; else C++ names stay as they are.
 *
 * What is returned lives as long as the process.  Thread-safe; takes no lock, but the demangler
 * allocates.
 */
#ifndef UNSPLIT_SITE_SYMBOLS_H
#define UNSPLIT_SITE_SYMBOLS_H

#include <stddef.h>

#include "site/modules.h"

/* Find the demangler, and reserve room for what it yields.  Returns 0 or ENOMEM. */
int symbols_init(void);

/* The function that holds the place before `place`, which is an address that a call returns to;
 * "" if its name is not known. */
const char *symbol_of(const struct place *place);

#endif
