/*
 * pthread.c: pthread_key_create, so that mimalloc takes none of the program's keys.
 *
 * mimalloc's constructor asks for a key to learn of the end of threads.  We tell it ourselves
 * (heap/thread.c), and a program that counts on all its 1024 keys gets them all.
 */
#include <errno.h>
#include <mimalloc.h>
#include <pthread.h>

#include "abi/export.h"
#include "kernel/got.h"

/* glibc's own name for it. */
extern int __pthread_key_create(pthread_key_t *key, void (*destroy)(void *));

EXPORT int pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
	/* Refused, mimalloc leaves its key at "none" and never sets it. */
	if (got_same_object(__builtin_return_address(0), (void *)mi_malloc))
		return EAGAIN;
	return __pthread_key_create(key, destroy);
}
