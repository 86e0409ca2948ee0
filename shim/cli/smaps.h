/*
 * smaps.h: what /proc/PID/smaps says of each mapping, and smaps_rollup of all together.
 */
#ifndef UNSPLIT_CLI_SMAPS_H
#define UNSPLIT_CLI_SMAPS_H

#include <stdbool.h>
#include <stdint.h>

/* All sizes are in bytes. */
struct mapping {
	uint64_t start, end;
	uint64_t resident;
	uint64_t anonymous, anon_huge; /* resident; on huge pages */
	uint64_t shmem_huge;           /* shared memory and tmpfs, on huge pages */
	bool eligible;                 /* the kernel would put huge pages there */
	bool ours;                     /* of the file libunsplit.so */
};

typedef void (*mapping_visitor)(const struct mapping *m, void *arg);

/* Visit each mapping of the file at `path`.  0 or an errno value; ENODATA if it is empty. */
int smaps_each(const char *path, mapping_visitor visit, void *arg);
/* All mappings of a file together: `start` of the first, `end` of the last. */
int smaps_sum(const char *path, struct mapping *sum);

#endif
