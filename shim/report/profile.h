/*
 * profile.h: what was learned of each call site (site/learn.h), as a file that `unsplit learn`
 * reads.
 */
#ifndef UNSPLIT_REPORT_PROFILE_H
#define UNSPLIT_REPORT_PROFILE_H

#include <stdint.h>

#include "report/emitter.h"

/* Of the keys and their meaning. */
enum { PROFILE_VERSION = 1 };

/* One site. */
struct profile_row {
	const char *site; /* its hash */
	const char *caller, *module, *frames;
	uint64_t requests, bytes, peak;
	uint64_t lifetime_us, possible_us; /* of all blocks together, and if all had lived as long
	                                    * as the process */
	uint64_t room, touched;            /* bytes */
};

/* The parts of a profile, in this order: head, rows, foot. */
void profile_head(struct emitter *e, int fd);
void profile_row(struct emitter *e, const struct profile_row *row);
int profile_foot(struct emitter *e);

/* Write what this process learned until now to `where`, a path with %p; a forked child whose path
 * has none appends a point and its process id.  Returns 0 or an errno value, after one line on
 * stderr. Allocates nothing, keeps errno; one thread at a time. */
int profile_write(const char *where);

#endif
