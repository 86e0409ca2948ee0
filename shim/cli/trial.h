/*
 * trial.h: run a command to see what it does: under a rule file, or to learn one.
 *
 * Each process of it writes a file into a directory of the trial's own, which is read afterwards.
 */
#ifndef UNSPLIT_CLI_TRIAL_H
#define UNSPLIT_CLI_TRIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "site/rules.h"

/* What one rule decided. */
struct trial_count {
	uint64_t requests, bytes;
};

struct trial {
	char directory[64]; /* of the files */
	char *options[3];   /* of `unsplit run`; those behind the first may be NULL */
	int status;         /* of the command; 128 and the number if a signal ended it */
	unsigned processes; /* that left a file */
};

/* Make the directory; `options` are then to be set.  False, and a line on stderr, if that cannot
 * be. */
bool trial_open(struct trial *t);
/* The same to run commands under this rule file, `options` and all.  False, and a line on stderr,
 * if that cannot be. */
bool trial_start(struct trial *t, const char *file);
/* Run the command and wait for it. */
void trial_run(struct trial *t, char **command);
/* Have each file read by `take`, and remove them all. */
void trial_close(struct trial *t, void (*take)(FILE *file, void *context), void *context);
/* Add up, for each of `rules`, what its processes reported, and remove the reports. */
void trial_collect(struct trial *t, const struct rules *rules, struct trial_count *counts);

#endif
