/* remap.c: one mapping that grows by mremap in odd steps, shrinks, and goes in thirds.
 *
 * Prints how much of it is huge when it is largest, and how many huge pages the machine broke
 * meanwhile: run it without and with the shim, with nothing else running. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "probe.h"

#define MIB ((size_t)1 << 20)

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *resize(void *p, size_t from, size_t to)
{
	p = mremap(p, from, to, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		fail("mremap");
	if (to > from)
		memset((char *)p + from, 1, to - from);
	return p;
}

static void unmap(char *p, size_t bytes)
{
	if (munmap(p, bytes))
		fail("munmap");
}

int main(void)
{
	const size_t step = 37 * MIB + 20480, goal = 1024 * MIB, end = goal - 5 * MIB - 4096;
	const size_t third = goal / 3 & ~(size_t)4095;
	size_t bytes = 300 * MIB + 12288;
	struct probe before, full, after;

	probe_init();
	probe_take(&before);
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	madvise(p, bytes, MADV_HUGEPAGE); /* so that it has a chance without the shim */
	memset(p, 1, bytes);
	for (size_t next; bytes < goal; bytes = next) {
		next = bytes + step < goal ? bytes + step : goal;
		p = resize(p, bytes, next);
	}
	probe_take(&full);
	p = resize(p, goal, end);
	unmap(p + third, third);
	unmap(p, third);
	unmap(p + 2 * third, end - 2 * third);
	probe_take(&after);
	printf("%.1f %% huge at 1 GiB; %lu huge pages left partially mapped\n",
	       100.0 * (double)full.huge / (double)goal,
	       (unsigned long)(after.thp_deferred_split_page - before.thp_deferred_split_page));
	return 0;
}
