/* cgroup.c: the memory cgroup that a process is charged to. */
#include "cli/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "kernel/sysfs.h"

/* The two layouts of the memory cgroup's files. */
struct cgroup_files {
	const char *mount, *limit, *usage, *active, *inactive;
};

static const struct cgroup_files version_1 = {
	"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
	"total_active_file",     "total_inactive_file",
};
static const struct cgroup_files version_2 = {
	"/sys/fs/cgroup", "memory.max", "memory.current", "active_file", "inactive_file",
};

/* One line of /proc/PID/cgroup, "NUMBER:CONTROLLERS:GROUP": its group, and the layout if it is of
 * the memory controller or may be (version 2 does not say). */
static char *group_of_line(char *line, const struct cgroup_files **files)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group)
		return NULL;
	*group++ = '\0';
	controllers++;
	group[strcspn(group, "\n")] = '\0';
	if (!*controllers)
		*files = &version_2;
	else if (strstr(controllers, "memory")) /* it may be mounted together with others */
		*files = &version_1;
	else
		return NULL;
	return strcmp(group, "/") == 0 ? group + 1 : group;
}

/* Where both versions are mounted, the memory controller is in version 1 if it is named there. */
static void find_group(struct cgroup *g, FILE *file)
{
	char *line = NULL;
	size_t size = 0;

	while (g->files != &version_1 && getline(&line, &size, file) > 0) {
		const struct cgroup_files *files;
		char *group = group_of_line(line, &files);

		if (!group)
			continue;
		free(g->path);
		g->path = text("%s", group);
		g->files = files;
	}
	free(line);
}

bool cgroup_open(struct cgroup *g, const char *root, const char *membership)
{
	FILE *file = fopen(membership, "re");

	*g = (struct cgroup){.root = root};
	if (!file)
		return false;
	find_group(g, file);
	fclose(file);
	return g->files != NULL;
}

void cgroup_close(struct cgroup *g)
{
	free(g->path);
	g->path = NULL;
}

static bool read_number(const struct cgroup *g, const char *path, const char *file, uint64_t *value)
{
	char *name = text("%s%s%s/%s", g->root, g->files->mount, path, file);
	bool found = sysfs_number(name, value);

	free(name);
	return found;
}

/* 0 if the group does not say. */
static uint64_t read_stat(const struct cgroup *g, const char *path, const char *key)
{
	char *name = text("%s%s%s/memory.stat", g->root, g->files->mount, path);
	uint64_t value = 0;

	sysfs_field(name, key, &value);
	free(name);
	return value;
}

bool cgroup_charged(const struct cgroup *g, uint64_t *bytes)
{
	const char *path = g->path;
	uint64_t cache;

	/* In a container the path seen from outside may not exist: the mount is the group. */
	if (!read_number(g, path, g->files->usage, bytes)) {
		path = "";
		if (!read_number(g, path, g->files->usage, bytes))
			return false;
	}
	cache = read_stat(g, path, g->files->active) + read_stat(g, path, g->files->inactive);
	*bytes -= cache < *bytes ? cache : *bytes;
	return true;
}

/* What the limit of one group leaves; page cache that nobody uses counts as left. */
static void look_at_group(const struct cgroup *g, const char *path, struct cgroup_limit *t)
{
	enum { UNLIMITED_SHIFT = 62 }; /* v1 writes "no limit" as nearly 2^63 */
	uint64_t limit, usage = 0, cache, left;

	if (!read_number(g, path, g->files->limit, &limit) || limit >> UNLIMITED_SHIFT)
		return;
	read_number(g, path, g->files->usage, &usage);
	cache = read_stat(g, path, g->files->inactive);
	usage -= cache < usage ? cache : usage;
	left = limit > usage ? limit - usage : 0;
	if (t->file && left >= t->left)
		return;
	free(t->file);
	*t = (struct cgroup_limit){text("%s%s/%s", g->files->mount, path, g->files->limit), limit,
	                           left};
}

struct cgroup_limit cgroup_tightest(const struct cgroup *g)
{
	struct cgroup_limit t = {NULL, 0, 0};
	char *path = text("%s", g->path);
	char *slash;

	do {
		look_at_group(g, path, &t);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
	free(path);
	return t;
}
