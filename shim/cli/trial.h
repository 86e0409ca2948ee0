/*
 * trial.h: run a command under a rule file, and collect what the rules decided.
 *
 * Each process of it writes its report into a directory of its own, which is read afterwards.
 */
#ifndef UNSPLIT_CLI_TRIAL_H
#define UNSPLIT_CLI_TRIAL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "site/rules.h"

/* What one rule decided. */
struct trial_count {
	uint64_t requests, bytes;
};

struct trial {
	char file[PATH_MAX]; /* the rules */
	char directory[64];  /* of the reports */
	int status;          /* of the command; 128 and the number if a signal ended it */
	unsigned processes;  /* that left a report */
};

/* Make ready to run commands under this file.  False, and a line on stderr, if that cannot be. */
bool trial_start(struct trial *t, const char *file);
/* Run the command and wait for it. */
void trial_run(struct trial *t, char **command);
/* Add up, for each of `rules`, what its processes reported, and remove the reports. */
void trial_collect(struct trial *t, const struct rules *rules, struct trial_count *counts);

#endif
