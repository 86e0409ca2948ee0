/*
 * decided.h: what the rules decided for something, kept until other rules are loaded.
 *
 * Written and read by any thread, without a lock.  The version is odd while it is being written; a
 * reader that sees it change has read nothing, and asks the rules again.
 */
#ifndef UNSPLIT_SITE_DECIDED_H
#define UNSPLIT_SITE_DECIDED_H

#include <stdbool.h>
#include <stdint.h>

struct rules;

struct decided {
	uint64_t version;
	const struct rules *by;
	const void *what; /* where several things share one place */
	uint64_t bits[2]; /* the rules whose conditions on the stack hold */
};

/* False if these rules have decided nothing, or something else. */
bool decided_read(const struct decided *d, const struct rules *by, const void *what,
                  uint64_t bits[2]);
/* Does nothing while another thread writes there. */
void decided_write(struct decided *d, const struct rules *by, const void *what,
                   const uint64_t bits[2]);

#endif
