/*
 * exit.c: _exit, which no destructor sees, so that what was asked for at the end is written all the
 * same (heap/wrapup.h).
 */
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/export.h"
#include "abi/process.h"
#include "heap/wrapup.h"

static void (*next_exit)(int status);

void exit_constructor(void)
{
	*(void **)&next_exit = dlsym(RTLD_NEXT, "_exit");
}

static _Noreturn void leave(int status)
{
	wrapup_at_once();
	if (next_exit)
		next_exit(status);
	for (;;)
		syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _exit(int status)
{
	leave(status);
}

EXPORT _Noreturn void _Exit(int status)
{
	leave(status);
}
