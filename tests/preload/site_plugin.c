/*
 * site_plugin.c: code that allocates and is then unloaded.  Each variant has a frame of another
 * size and kind, so that what holds for one is wrong for the other in its place.
 */
#include <stdlib.h>
#include <string.h>

void *plugin_alloc(size_t size);

__attribute__((visibility("default"))) void *plugin_alloc(size_t size)
{
#ifdef PLUGIN_WIDE
	volatile char *room = __builtin_alloca(size % 512 + 64);

	room[0] = 1;
#endif
	void *p = malloc(size);

	if (p)
		memset(p, 1, 64);
	return p;
}
