#include "probe.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char text[64 << 10];

/* Read the whole file into `text`.  A file of /proc may come in pieces. */
static bool slurp(const char *path)
{
	size_t length = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	text[0] = '\0';
	if (fd < 0)
		return false;
	while ((got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	text[length] = '\0';
	return got == 0;
}

/* The number after `key` at the start of a line of `text`; false if there is no such line. */
static bool field(const char *key, uint64_t *value)
{
	size_t length = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length) && strchr(": \t", line[length])) {
			*value = strtoull(line + length + strspn(line + length, ": \t"), NULL, 10);
			return true;
		}
	}
	return false;
}

static uint64_t field_or_zero(const char *key)
{
	uint64_t value = 0;

	field(key, &value);
	return value;
}

/* ---- the memory cgroup ---- */

/* Where its two figures are.  The key is what memory.stat calls the page cache. */
static struct {
	char usage[PATH_MAX];
	char stat[PATH_MAX];
	const char *cache_key;
} cgroup;

static bool cgroup_try(const char *dir, const char *path, const char *usage, const char *cache_key)
{
	snprintf(cgroup.usage, sizeof(cgroup.usage), "%s%s/%s", dir, path, usage);
	snprintf(cgroup.stat, sizeof(cgroup.stat), "%s%s/memory.stat", dir, path);
	cgroup.cache_key = cache_key;
	return !access(cgroup.usage, R_OK) && !access(cgroup.stat, R_OK);
}

/* In a container the mount may show our own cgroup as its root, so the root is tried as well. */
static bool cgroup_try_v1(const char *path)
{
	static const char dir[] = "/sys/fs/cgroup/memory", usage[] = "memory.usage_in_bytes";

	return cgroup_try(dir, path, usage, "total_cache") ||
	       cgroup_try(dir, "", usage, "total_cache");
}

static bool cgroup_try_v2(const char *path)
{
	return cgroup_try("/sys/fs/cgroup", path, "memory.current", "file") ||
	       cgroup_try("/sys/fs/cgroup", "", "memory.current", "file");
}

/* A line of /proc/self/cgroup is "ID:controllers:path"; version 2 has no controllers. */
static bool cgroup_try_line(char *line)
{
	char *controllers = strchr(line, ':');
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return false;
	*path++ = '\0';
	controllers++;
	if (!strcmp(path, "/"))
		path = "";
	if (!strcmp(controllers, "memory"))
		return cgroup_try_v1(path);
	return !*controllers && cgroup_try_v2(path);
}

void probe_init(void)
{
	char *rest = text;

	slurp("/proc/self/cgroup");
	for (char *line; (line = strsep(&rest, "\n"));)
		if (cgroup_try_line(line))
			return;
	cgroup.cache_key = NULL;
}

static bool take_charged(uint64_t *charged)
{
	uint64_t usage, cache;

	if (!cgroup.cache_key || !slurp(cgroup.usage))
		return false;
	usage = strtoull(text, NULL, 10);
	if (!slurp(cgroup.stat) || !field(cgroup.cache_key, &cache))
		return false;
	*charged = usage > cache ? usage - cache : 0;
	return true;
}

/* ---- the process and the machine ---- */

static uint64_t minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

void probe_take(struct probe *probe)
{
	slurp("/proc/self/smaps_rollup");
	probe->rss = field_or_zero("Rss") << 10;
	probe->anonymous = field_or_zero("Anonymous") << 10;
	probe->huge = field_or_zero("AnonHugePages") << 10;
	probe->faults = minor_faults();
	probe->charged_known = take_charged(&probe->charged);
	slurp("/proc/vmstat");
#define X(name) probe->name = field_or_zero(#name);
	PROBE_EVENTS(X)
#undef X
}
