/*
 * half_unit.c: do to a few huge pages what must never be done to ours.
 *
 *	half_unit whole|half
 *
 * Touches eight units of advised memory; with "half" gives back the upper half of each, which
 * leaves eight partially mapped folios on the kernel's list of deferred splits.  The control of
 * the tests that say "no split": they would see one.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { UNITS = 8 };

static size_t unit_size(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
	size_t size = 0;

	if (!file || fscanf(file, "%zu", &size) != 1)
		return 0;
	fclose(file);
	return size;
}

int main(int argc, char **argv)
{
	size_t unit = unit_size();
	char *memory = mmap(NULL, (UNITS + 1) * unit, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (argc != 2 || unit == 0 || memory == MAP_FAILED)
		return 2;
	memory = (char *)(((uintptr_t)memory + unit - 1) / unit * unit);
	if (madvise(memory, UNITS * unit, MADV_HUGEPAGE) != 0)
		return 2;
	memset(memory, 1, UNITS * unit);
	for (int i = 0; i < UNITS && strcmp(argv[1], "half") == 0; i++)
		madvise(memory + i * unit + unit / 2, unit / 2, MADV_DONTNEED);
	return 0;
}
