/*
 * deep_host.c: blocks that cross between a program and a plugin opened with RTLD_DEEPBIND, as PHP
 * opens its extensions.
 *
 *	deep_host
 *
 * The plugin is named without a path and lies where only this program's own RUNPATH leads.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *make_function(size_t n);
typedef void drop_function(void *p);

static void *find(void *plugin, const char *name)
{
	void *found = plugin ? dlsym(plugin, name) : NULL;

	if (!found) {
		fprintf(stderr, "%s: %s\n", name, dlerror());
		exit(1);
	}
	return found;
}

int main(void)
{
	enum { BYTES = 100 };
	void *plugin = dlopen("libdeep_plugin.so", RTLD_NOW | RTLD_DEEPBIND);
	make_function *make = (make_function *)find(plugin, "deep_make");
	drop_function *drop = (drop_function *)find(plugin, "deep_drop");

	for (int i = 0; i < 1000; i++) {
		char *theirs = make(BYTES), *ours = malloc(BYTES);

		memset(theirs, 1, BYTES);
		memset(ours, 2, BYTES);
		free(theirs);
		drop(ours);
	}
	dlclose(plugin);
	puts("all blocks are of one heap");
	return 0;
}
