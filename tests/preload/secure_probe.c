/*
 * secure_probe.c: linked with the library, because the loader itself drops LD_PRELOAD of a path
 * under AT_SECURE.  Exits 0 if it got as far as main with a working heap, and says whether it runs
 * with AT_SECURE: run with a wrong UNSPLIT_CONF and strict:on, it must not get here without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

const char *unsplit_version(void);

int main(void)
{
	void *volatile block = malloc(1000);

	free(block);
	printf("%s, AT_SECURE %lu\n", unsplit_version(), getauxval(AT_SECURE));
	return block ? 0 : 1;
}
