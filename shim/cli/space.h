/*
 * space.h: which files are mapped where in the processes that are traced, as the kernel tells it,
 * and the libdw session that unwinds with them.
 */
#ifndef UNSPLIT_CLI_SPACE_H
#define UNSPLIT_CLI_SPACE_H

#include <elfutils/libdwfl.h>
#include <stdint.h>

struct space;

/* The address space of a process, empty at first.  `all` is the list's head. */
struct space *space_of(struct space **all, uint32_t pid);
/* exec: nothing of it is left. */
void space_clear(struct space *s);
/* fork: the child has what the parent has. */
void space_copy(struct space *to, const struct space *from);
void space_map(struct space *s, uint64_t address, uint64_t offset, const char *path);

/* A session with all its files, good until the space changes; NULL if there are none. */
Dwfl *space_session(struct space *s);

#endif
