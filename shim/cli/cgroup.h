/*
 * cgroup.h: the memory cgroup that a process is charged to, of either version.
 */
#ifndef UNSPLIT_CLI_CGROUP_H
#define UNSPLIT_CLI_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct cgroup_files;

struct cgroup {
	const struct cgroup_files *files;
	const char *root; /* in front of every path: "" but in tests */
	char *path;       /* of the group; freed by cgroup_close() */
};

/* The group that the file `membership` (/proc/PID/cgroup) names.  False if there is none. */
bool cgroup_open(struct cgroup *g, const char *root, const char *membership);
void cgroup_close(struct cgroup *g);

/* Bytes charged to the group, by every process in it, without page cache, which gives way by
 * itself.  Here a huge page that was freed in part still counts whole (K1). */
bool cgroup_charged(const struct cgroup *g, uint64_t *bytes);

/* The tightest of the limits on the way from the group to the root. */
struct cgroup_limit {
	char *file; /* NULL: there is none */
	uint64_t limit, left;
};
struct cgroup_limit cgroup_tightest(const struct cgroup *g);

#endif
