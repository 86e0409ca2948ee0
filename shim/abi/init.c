/*
 * init.c: what runs when the object is loaded and when the program ends, and the public C API.
 *
 * The heap starts itself at the first malloc, which comes before any constructor; the constructor
 * only does what cannot be done that early.
 */
#include <errno.h>

#include "abi/export.h"
#include "abi/process.h"
#include "heap/heap.h"
#include "heap/wrapup.h"
#include "unsplit/unsplit.h"

static __attribute__((constructor)) void on_load(void)
{
	heap_constructor();
	process_constructor();
	exit_constructor();
	dlopen_constructor();
}

static __attribute__((destructor)) void on_exit_of_program(void)
{
	wrapup();
}

EXPORT const char *unsplit_version(void)
{
	return UNSPLIT_VERSION;
}

EXPORT int unsplit_trim(void)
{
	int saved_errno = errno;
	int done = heap_trim();

	errno = saved_errno;
	return done;
}

EXPORT int unsplit_report(const char *where)
{
	return heap_report(where);
}
