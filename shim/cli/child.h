/*
 * child.h: a program that a command starts to look at it.
 */
#ifndef UNSPLIT_CLI_CHILD_H
#define UNSPLIT_CLI_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child {
	pid_t pid;
};

/* Start `command`; `prepare`, if not NULL, is called with its process id before it begins, while it
 * waits: false means that it shall not.  Returns 0 once it has become the program; else an exit
 * status, after a line on stderr.  Interrupts from the terminal are the child's alone from then on.
 */
int child_start(struct child *c, char **command, bool (*prepare)(pid_t pid, void *arg), void *arg);
/* Wait for its end.  Returns its exit status, or 128 and the number of the signal that ended it. */
int child_end(struct child *c);

#endif
