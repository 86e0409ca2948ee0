#include "kernel/pressure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/say.h"
#include "kernel/sysfs.h"

/* Files of this process's memory cgroup. */
static struct {
	bool known, present, v1;
	char directory[384];
} cgroup;

/* The path that a line of /proc/self/cgroup gives for our hierarchy; NULL if it is of another. */
static char *path_in_line(char *line, bool *v1)
{
	char *controllers = strchr(line, ':'),
	     *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return NULL;
	*path++ = '\0';
	*v1 = strstr(controllers + 1, "memory") != NULL;
	bool unified = controllers[1] == '\0';
	return *v1 || unified ? path : NULL;
}

static bool use_directory(const char *mount, const char *path, const char *probe)
{
	char file[512];
	uint64_t value;

	say_into(cgroup.directory, sizeof(cgroup.directory), "%s%s", mount, path);
	say_into(file, sizeof(file), "%s/%s", cgroup.directory, probe);
	return sysfs_number(file, &value);
}

/* In a container the path seen from outside may not exist inside: then the mount is the group. */
static bool find_directory(const char *path, bool v1)
{
	const char *mount = v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
	const char *probe = v1 ? "memory.usage_in_bytes" : "memory.current";

	cgroup.v1 = v1;
	return use_directory(mount, path, probe) || use_directory(mount, "", probe);
}

static void find_cgroup(void)
{
	char text[2048];

	cgroup.known = true;
	if (sysfs_read("/proc/self/cgroup", text, sizeof(text)) <= 0)
		return;
	for (char *line = text, *end; *line && !cgroup.present; line = end + 1) {
		bool v1;

		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		char *path = path_in_line(line, &v1);
		if (path)
			cgroup.present = find_directory(strcmp(path, "/") ? path : "", v1);
	}
}

static bool read_file(const char *name, uint64_t *value)
{
	char file[512];

	say_into(file, sizeof(file), "%s/%s", cgroup.directory, name);
	return sysfs_number(file, value);
}

/* Page cache counts as usage but gives way by itself. */
static uint64_t page_cache(void)
{
	char file[512];
	uint64_t active = 0, inactive = 0;

	say_into(file, sizeof(file), "%s/memory.stat", cgroup.directory);
	sysfs_field(file, cgroup.v1 ? "total_active_file" : "active_file", &active);
	sysfs_field(file, cgroup.v1 ? "total_inactive_file" : "inactive_file", &inactive);
	return active + inactive;
}

static bool near_limit(void)
{
	uint64_t limit, usage;
	const uint64_t none = 1ull
	                      << 60; /* v1 says "unlimited" with a huge number, v2 with "max" */

	if (!read_file(cgroup.v1 ? "memory.limit_in_bytes" : "memory.max", &limit) || limit > none)
		return false;
	if (!read_file(cgroup.v1 ? "memory.usage_in_bytes" : "memory.current", &usage))
		return false;
	if (usage < limit - limit / 16)
		return false;
	return usage - page_cache() >= limit - limit / 16;
}

/* "some avg10=1.23 ...": percent of the last 10 s in which some task waited for memory. */
static bool stalls(void)
{
	enum { PERCENT = 5 };
	char text[256];
	char *value;

	if (sysfs_read("/proc/pressure/memory", text, sizeof(text)) <= 0)
		return false;
	value = strstr(text, "avg10=");
	return value && strtoul(value + strlen("avg10="), NULL, 10) >= PERCENT;
}

bool kernel_near_limit(void)
{
	if (!cgroup.known)
		find_cgroup();
	return cgroup.present && near_limit();
}

bool kernel_pressure(void)
{
	return kernel_near_limit() || stalls();
}
