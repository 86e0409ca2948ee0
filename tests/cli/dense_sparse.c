/*
 * dense_sparse.c: dense_sparse MIB: a table that is filled, and a buffer of which one byte in 64
 * KiB is written, both of MIB mebibytes and each from a function of its own.  Prints what the
 * kernel says of both:
 *
 *   table: RESIDENT huge HUGE
 *   buffer: RESIDENT huge HUGE
 *
 * in KiB, from smaps.  With "mmap" behind it, both are mapped instead of allocated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __clang__
#define NAMED __attribute__((noinline, optnone, visibility("default")))
#else
#define NAMED __attribute__((noipa, visibility("default")))
#endif

void *dense_table(size_t bytes, int mapped);
void *sparse_buffer(size_t bytes, int mapped);

static inline __attribute__((always_inline)) char *get(size_t bytes, int mapped)
{
	if (!mapped)
		return malloc(bytes);
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

NAMED void *dense_table(size_t bytes, int mapped)
{
	char *p = get(bytes, mapped);

	return memset(p, 1, bytes);
}

NAMED void *sparse_buffer(size_t bytes, int mapped)
{
	char *p = get(bytes, mapped);

	for (size_t i = 0; i < bytes; i += 64 << 10)
		p[i] = 1;
	return p;
}

/* One word a page: bit 63 says that the page is present. */
static size_t resident(const char *p, size_t bytes)
{
	FILE *pagemap = fopen("/proc/self/pagemap", "re");
	unsigned long word;
	size_t pages = 0;

	if (!pagemap || fseek(pagemap, (long)((size_t)p >> 12) * 8, SEEK_SET))
		abort();
	for (size_t i = 0; i < bytes >> 12; i++) {
		if (fread(&word, sizeof(word), 1, pagemap) != 1)
			abort();
		pages += word >> 63;
	}
	fclose(pagemap);
	return pages << 2;
}

/* Of /proc/self/smaps, the huge pages of the mappings that lie in the range for the most part, or
 * that hold it. */
static size_t huge(const char *p, size_t bytes)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	size_t start, end, from = (size_t)p, to = from + bytes, kib, sum = 0;
	int overlaps = 0;
	char line[512];

	if (!smaps)
		abort();
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%zx-%zx ", &start, &end) == 2)
			overlaps = start < to && end > from;
		else if (overlaps && sscanf(line, "AnonHugePages: %zu", &kib) == 1)
			sum += kib;
	}
	fclose(smaps);
	return sum;
}

static void tell(const char *name, const char *p, size_t bytes)
{
	printf("%s: %zu huge %zu\n", name, resident(p, bytes), huge(p, bytes));
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	int mapped = argc > 2 && strcmp(argv[2], "mmap") == 0;
	char *table, *buffer;

	if (!bytes)
		return 2;
	table = dense_table(bytes, mapped);
	buffer = sparse_buffer(bytes, mapped);
	tell("table", table, bytes);
	tell("buffer", buffer, bytes);
	return 0;
}
