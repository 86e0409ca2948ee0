/* preload.c: what to put into LD_PRELOAD. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/say.h"

#define SONAME "libunsplit.so.0"

/* What separates the entries of LD_PRELOAD: ld.so takes both. */
#define SEPARATORS ": "

/* Cut the last component off. */
static bool to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

static char *library_of_this_command(void)
{
	/* The first, relative to the parent of the command's directory, comes from the build. */
	static const char *const installed[] = {INSTALLED_LIB, "lib", "lib64"};
	char directory[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", directory, sizeof(directory) - 1);
	char *path;

	if (length < 0)
		return text(SONAME);
	directory[length] = '\0';
	if (!to_parent(directory))
		return text(SONAME);
	path = text("%s/" SONAME, directory);
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	to_parent(directory);
	for (size_t i = 0; i < sizeof(installed) / sizeof(installed[0]); i++) {
		path = text("%s/%s/" SONAME, directory, installed[i]);
		if (access(path, R_OK) == 0)
			return path;
		free(path);
	}
	return text(SONAME);
}

/* A relative path would be looked up from wherever a child of the program stands. */
static char *absolute(const char *wanted)
{
	char *path;

	if (!strchr(wanted, '/'))
		return text("%s", wanted); /* a soname: ld.so searches for it */
	path = wanted[0] == '/' ? text("%s", wanted) : realpath(wanted, NULL);
	if (path && access(path, R_OK) == 0)
		return path;
	say("library \"%s\" cannot be read: %s", wanted, strerror(errno));
	free(path);
	return NULL;
}

char *preload_library(const char *wanted)
{
	char *path = wanted ? absolute(wanted) : library_of_this_command();

	if (path && path[strcspn(path, SEPARATORS)]) {
		say("library \"%s\": LD_PRELOAD cannot hold a path with a blank or a colon", path);
		free(path);
		return NULL;
	}
	return path;
}

/* Any version of ours: two of them in one process would both want to be its malloc. */
static bool is_ours(const char *entry, size_t length, const char *library)
{
	static const char stem[] = "libunsplit.so";
	const char *slash = memrchr(entry, '/', length);
	const char *base = slash ? slash + 1 : entry;
	size_t base_length = (size_t)(entry + length - base);

	if (library && strlen(library) == length && memcmp(entry, library, length) == 0)
		return true;
	return base_length >= sizeof(stem) - 1 && memcmp(base, stem, sizeof(stem) - 1) == 0;
}

char *preload_merge(const char *library, const char *old)
{
	char *merged = text("%s", library ? library : "");

	for (const char *entry = old ? old : ""; *entry;) {
		size_t length = strcspn(entry, SEPARATORS);

		if (length && !is_ours(entry, length, library)) {
			char *longer =
				text("%s%s%.*s", merged, *merged ? ":" : "", (int)length, entry);

			free(merged);
			merged = longer;
		}
		entry += length;
		entry += strspn(entry, SEPARATORS);
	}
	return merged;
}
