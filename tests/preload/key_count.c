/*
 * key_count.c: print how many thread keys this program can have.
 *
 * A key that an allocator takes for itself is missing here, and programs (and test suites) notice.
 * Every key must also work: its destructor sees the value of the thread that ended.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_KEYS = 4096 };

static pthread_key_t keys[MAX_KEYS];
static unsigned count, destroyed;

static void destroy(void *value)
{
	free(value);
	destroyed++;
}

static void *set_all(void *unused)
{
	for (unsigned i = 0; i < count; i++) {
		if (pthread_setspecific(keys[i], malloc(24)) != 0)
			exit(1);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;

	free(malloc(100));
	while (count < MAX_KEYS && pthread_key_create(&keys[count], destroy) == 0)
		count++;
	if (pthread_create(&thread, NULL, set_all, NULL) != 0)
		return 1;
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < count; i++)
		pthread_key_delete(keys[i]);
	printf("%u keys, %u destroyed\n", count, destroyed);
	return 0;
}
