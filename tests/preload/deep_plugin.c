/* deep_plugin.c: allocates and frees for whoever opens it. */
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void *deep_make(size_t n);
EXPORT void *deep_make(size_t n)
{
	return malloc(n);
}

EXPORT void deep_drop(void *p);
EXPORT void deep_drop(void *p)
{
	free(p);
}
