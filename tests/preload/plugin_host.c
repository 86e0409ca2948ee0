/*
 * plugin_host.c: a C program that loads C++ plugins.
 *
 *	plugin_host TIMES PLUGIN
 *
 * Loads the plugin TIMES times, alternately with RTLD_LOCAL and RTLD_GLOBAL, runs its check() and
 * unloads it.  It fails if the check does, or if its memory grows with the number of loads.
 */
#include "plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WARM_UP = 50, GROWTH_KIB = 8192 };

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long total, resident;

	if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2)
		exit(1);
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void fail(const char *path, const char *wrong)
{
	fprintf(stderr, "%s: %s\n", path, wrong);
	exit(1);
}

static void *call(void *check)
{
	return (void *)((plugin_check *)check)();
}

/* In a thread of its own: a plugin stays loaded until its thread_local objects are gone. */
static const char *call_in_thread(void *check)
{
	pthread_t thread;
	void *wrong = "no thread";

	if (pthread_create(&thread, NULL, call, check) == 0)
		pthread_join(thread, &wrong);
	return wrong;
}

static void load_check_unload(const char *path, int scope)
{
	void *plugin = dlopen(path, RTLD_NOW | scope);
	void *check = plugin ? dlsym(plugin, "check") : NULL;
	const char *wrong;

	if (!check)
		fail(path, dlerror());
	wrong = call_in_thread(check);
	if (wrong)
		fail(path, wrong);
	dlclose(plugin);
	if (dlopen(path, RTLD_NOW | RTLD_NOLOAD))
		fail(path, "is still loaded");
}

int main(int argc, char **argv)
{
	int times = argc == 3 ? atoi(argv[1]) : 0;
	long before = 0;

	if (times < 1 ||
	    (!getenv("UNSPLIT_TEST_PLAIN") && !dlsym(RTLD_DEFAULT, "unsplit_version"))) {
		fprintf(stderr, "plugin_host TIMES PLUGIN, and the shim preloaded\n");
		return 2;
	}
	for (int i = 0; i < times; i++) {
		if (i == WARM_UP)
			before = resident_kib();
		load_check_unload(argv[2], i % 2 ? RTLD_GLOBAL : RTLD_LOCAL);
	}
	if (times > WARM_UP && resident_kib() > before + GROWTH_KIB) {
		fprintf(stderr, "grew from %ld to %ld KiB\n", before, resident_kib());
		return 1;
	}
	return 0;
}
