/*
 * spoil.c: a malloc that spoils what the program wrote, to test that churn --check notices.
 */
#include <stddef.h>

void *__libc_malloc(size_t size);
void *malloc(size_t size);

enum { BIG = 4096, WHEN = 1000 };

/* After so many calls, change one byte of the last big object. */
__attribute__((visibility("default"))) void *malloc(size_t size)
{
	static unsigned calls;
	static char *victim;
	char *data = __libc_malloc(size);

	if (size >= BIG)
		victim = data;
	else if (++calls >= WHEN && victim)
		victim[BIG / 2] ^= 1;
	return data;
}
