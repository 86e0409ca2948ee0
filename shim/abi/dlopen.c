/*
 * dlopen.c: dlopen, without RTLD_DEEPBIND.
 *
 * With that flag what is opened looks a name up in its own libraries first, libc among them, and so
 * finds libc's malloc where the rest of the program has ours: the first block that one of them
 * frees for the other ends the program.  PHP opens its extensions like this, and cannot run under
 * any allocator that is preloaded.
 */
#include <dlfcn.h>

#include "abi/export.h"
#include "abi/process.h"
#include "options.h"

static void *(*next_dlopen)(const char *file, int flags);

void dlopen_constructor(void)
{
	*(void **)&next_dlopen = dlsym(RTLD_NEXT, "dlopen");
}

/* The next one must be left as if it had been called by our caller: which RUNPATH it searches, and
 * in which namespace, depends on who calls.  A call in tail position is a jump, and a test looks
 * whether it is; where the compiler would not do so, it is told. */
#ifdef __clang__
#define AS_A_JUMP __attribute__((musttail))
#define KEEP_JUMPS
#else
#define AS_A_JUMP
#define KEEP_JUMPS __attribute__((optimize("O2")))
#endif

EXPORT KEEP_JUMPS void *dlopen(const char *file, int flags)
{
	if (__builtin_expect(!next_dlopen, 0))
		dlopen_constructor(); /* a constructor that runs before ours opens something */
	if (!options.deepbind)
		flags &= ~RTLD_DEEPBIND;
	AS_A_JUMP return next_dlopen(file, flags);
}
