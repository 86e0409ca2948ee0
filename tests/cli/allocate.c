/* allocate.c: asks for memory from two functions: ten times 3 MiB, and once 1 MiB. */
#include <stdlib.h>
#include <string.h>

/* Exported and never inlined, so that a rule can name them. */
#ifdef __clang__
#define NAMED __attribute__((noinline, optnone, visibility("default")))
#else
#define NAMED __attribute__((noipa, visibility("default")))
#endif

void *table_grow(size_t bytes);
void *scratch_get(size_t bytes);

NAMED void *table_grow(size_t bytes)
{
	return memset(malloc(bytes), 1, bytes);
}

NAMED void *scratch_get(size_t bytes)
{
	return memset(malloc(bytes), 2, bytes);
}

int main(void)
{
	for (int i = 0; i < 10; i++)
		free(table_grow(3ul << 20));
	free(scratch_get(1ul << 20));
	return 0;
}
