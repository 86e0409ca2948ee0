/*
 * micro.c: one operation of the allocator, many times, for counting instructions.
 *
 *   micro OPERATION SIZE COUNT
 *
 * Run it under callgrind with two counts: the difference, by the difference of the counts, is what
 * one operation costs, whatever start-up costs (bench/instructions).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Through volatile pointers, so that the compiler cannot drop a pair. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_aligned)(size_t, size_t) = aligned_alloc;
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

/* A block that becomes a little smaller and larger again stays where it is. */
static void run_in_place(size_t size, long count)
{
	void *p = do_malloc(size);

	for (long i = 0; i < count; i++)
		p = do_realloc(p, i % 2 ? size : size - size / 8);
	do_free(p);
}

/* Aligned to its size. */
static void run_aligned(size_t size, long count)
{
	for (long i = 0; i < count; i++)
		do_free(do_aligned(size, size));
}

/* A list of blocks, linked through their first word. */
static void *free_all(void *list)
{
	for (void *next; list; list = next) {
		next = *(void **)list;
		do_free(list);
	}
	return NULL;
}

/* Taken in one thread and freed in another. */
static void run_remote(size_t size, long count)
{
	void *list = NULL;
	pthread_t thread;

	for (long i = 0; i < count; i++) {
		void **p = do_malloc(size);

		*p = list;
		list = p;
	}
	if (!pthread_create(&thread, NULL, free_all, list))
		pthread_join(thread, NULL);
}

static void run_mmap(size_t size, long count)
{
	for (long i = 0; i < count; i++)
		munmap(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		       size);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t, long);
	} operations[] = {
		{"malloc", run_malloc},     {"calloc", run_calloc},   {"realloc", run_realloc},
		{"in_place", run_in_place}, {"aligned", run_aligned}, {"remote", run_remote},
		{"mmap", run_mmap},
	};

	if (argc == 4)
		for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
			if (!strcmp(argv[1], operations[i].name)) {
				operations[i].run(strtoul(argv[2], NULL, 10), atol(argv[3]));
				return 0;
			}
	fprintf(stderr, "usage: micro OPERATION SIZE COUNT\noperations:");
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		fprintf(stderr, " %s", operations[i].name);
	fputc('\n', stderr);
	return 2;
}
