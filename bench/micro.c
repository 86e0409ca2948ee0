/*
 * micro.c: one operation of the allocator, many times, for counting instructions.
 *
 *   micro OPERATION SIZE COUNT
 *
 * Run it under callgrind with two counts: the difference, by the difference of the counts, is what
 * one operation costs, whatever start-up costs (bench/instructions).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Through volatile pointers, so that the compiler cannot drop a pair. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void (*volatile do_free)(void *) = free;

static void run_malloc(size_t size, long count)
{
	for (long i = 0; i < count; i++)
		do_free(do_malloc(size));
}

static void run_calloc(size_t size, long count)
{
	for (long i = 0; i < count; i++)
		do_free(do_calloc(1, size));
}

static void run_realloc(size_t size, long count)
{
	for (long i = 0; i < count; i++)
		do_free(do_realloc(do_malloc(size), size + size / 2));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t, long);
	} operations[] = {{"malloc", run_malloc}, {"calloc", run_calloc}, {"realloc", run_realloc}};

	if (argc == 4)
		for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
			if (!strcmp(argv[1], operations[i].name)) {
				operations[i].run(strtoul(argv[2], NULL, 10), atol(argv[3]));
				return 0;
			}
	fprintf(stderr, "usage: micro malloc|calloc|realloc SIZE COUNT\n");
	return 2;
}
