#include "heap/bootstrap.h"

#include "table.h"

/* Each block is preceded by its size. */
static TABLE _Alignas(16) char buffer[16 << 10];
static size_t used;

void *bootstrap_alloc(size_t n, size_t align)
{
	uintptr_t at = (uintptr_t)buffer + used + sizeof(size_t);

	at = (at + align - 1) & ~(align - 1);
	size_t end = at - (uintptr_t)buffer + n;
	if (n > sizeof(buffer) || end > sizeof(buffer))
		return NULL;
	used = (end + 15) & ~15ul;
	((size_t *)at)[-1] = n;
	return (void *)at;
}

uintptr_t bootstrap_lowest(void)
{
	return used ? (uintptr_t)buffer : UINTPTR_MAX;
}

bool bootstrap_owns(const void *p)
{
	return (uintptr_t)p - (uintptr_t)buffer < sizeof(buffer);
}

size_t bootstrap_usable(const void *p)
{
	return ((const size_t *)p)[-1];
}
