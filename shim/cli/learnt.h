/*
 * learnt.h: what was learned of call sites, as profiles have it, added up by site.
 */
#ifndef UNSPLIT_CLI_LEARNT_H
#define UNSPLIT_CLI_LEARNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "report/profile.h"

/* Sites in the order of their first appearance.  What a row points to lives as long as the command.
 * Requests, bytes, times, room and touched are sums; the peak is the highest of one process. */
struct learnt {
	struct profile_row *rows;
	size_t count, room;
	unsigned profiles;
};

/* Add what a profile has.  False if it is none, or one of another version. */
bool learnt_add(struct learnt *l, FILE *profile);
/* Write all of it as one profile.  Returns 0 or an errno value. */
int learnt_write(const struct learnt *l, int fd);

#endif
