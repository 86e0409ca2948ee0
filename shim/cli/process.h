/*
 * process.h: another process, looked at from outside.
 *
 * Its directory in /proc is held open, so that the process that gets the same number later is never
 * taken for it.  Functions return 0 or an errno value; process_complain() makes a line of it.
 */
#ifndef UNSPLIT_CLI_PROCESS_H
#define UNSPLIT_CLI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	int dir;
	int pidfd;    /* -1: the kernel has none (< 5.3) */
	bool may_end; /* that is no reason for process_complain() to say so */
	bool had_memory;
	char command[64];
	char path[64]; /* where process_path() puts its result */
};

/* The process that `word` names on the command line of subcommand `who`.  Returns an exit status:
 * 0, or 1 or EXIT_USAGE after a line on stderr. */
int process_find(struct process *p, const char *who, const char *word);
/* ENOENT if there is none. */
int process_open(struct process *p, pid_t pid);
void process_close(struct process *p);

/* The path of a file of its directory in /proc; good until the next call. */
const char *process_path(struct process *p, const char *file);
/* Whether it still runs: a process that ended but was not waited for does not, and one that has
 * given up its memory, which may take the kernel long to free, is about to. */
bool process_runs(struct process *p);
/* Whether it has memory of its own, as threads of the kernel have not. */
bool process_has_memory(struct process *p);
/* Wait for so long, or until the process ends if that is sooner. */
void process_wait(struct process *p, uint64_t milliseconds);
/* Copy its memory.  EFAULT if that is not mapped there. */
int process_read(const struct process *p, uint64_t from, void *to, size_t bytes);

/* Say that `what` ("its memory") could not be read because of `error`.  Returns 1, for an exit
 * status. */
int process_complain(struct process *p, const char *what, int error);

#endif
