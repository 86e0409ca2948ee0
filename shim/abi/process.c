/*
 * process.c: prctl, and all that starts a program, under their standard names.
 *
 * What happens to the flag against huge pages is decided in process/thp.h; as long as we set none,
 * these functions only pass the call on.  They pass it to the next object that has the name, which
 * need not be libc: tools that watch what a build starts are preloaded, too.  The next ones are
 * looked up by the constructor, since dlsym() takes the loader's lock, which a forked child may
 * find held for ever, and exec is allowed where dlsym() is not.
 */
#include "abi/process.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/export.h"
#include "process/thp.h"

typedef int spawn_function(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

/* ---- the next ones ---- */

static struct {
	int (*execve)(const char *path, char *const argv[], char *const envp[]);
	int (*execvpe)(const char *file, char *const argv[], char *const envp[]);
	int (*fexecve)(int fd, char *const argv[], char *const envp[]);
	int (*execveat)(int dir, const char *path, char *const argv[], char *const envp[],
	                int flags);
	spawn_function *posix_spawn, *posix_spawnp;
	int (*system)(const char *command);
	FILE *(*popen)(const char *command, const char *mode);
} next;

/* Not by assignment: ISO C has no conversion from dlsym's result to a function. */
#define FIND(name) (*(void **)&next.name = dlsym(RTLD_NEXT, #name))

/* glibc has execveat since 2.34 only. */
static int raw_execveat(int dir, const char *path, char *const argv[], char *const envp[],
                        int flags)
{
	return (int)syscall(SYS_execveat, dir, path, argv, envp, flags);
}

static void find_next(void)
{
	FIND(execve);
	FIND(execvpe);
	FIND(fexecve);
	if (!FIND(execveat))
		next.execveat = raw_execveat;
	FIND(posix_spawn);
	FIND(posix_spawnp);
	FIND(system);
	FIND(popen);
}

/* The next function of the name; found only here if a constructor that runs before ours calls. */
#define NEXT(name)                                                                                 \
	({                                                                                         \
		if (__builtin_expect(!next.name, 0))                                               \
			find_next();                                                               \
		next.name;                                                                         \
	})

void process_constructor(void)
{
	find_next();
	pthread_atfork(NULL, NULL, process_thp_after_fork);
	process_thp_start();
}

/* ---- the program's own flag ---- */

static int status_or_error(int error)
{
	if (error) {
		errno = error;
		return -1;
	}
	return 0;
}

/* Whether the kernel would take these arguments of PR_SET_THP_DISABLE. */
static bool valid_set(const unsigned long a[4])
{
	return !(a[1] & ~(unsigned long)PR_THP_DISABLE_EXCEPT_ADVISED) && (a[0] || !a[1]) &&
	       !a[2] && !a[3];
}

static enum thp_flag flag_of(const unsigned long a[4])
{
	if (!a[0])
		return THP_FLAG_CLEAR;
	return a[1] ? THP_FLAG_ADVISED : THP_FLAG_NEVER;
}

static int get_flag(void)
{
	int flag = process_thp_get();

	return flag < 0 ? status_or_error(-flag) : flag;
}

EXPORT int prctl(int option, ...)
{
	unsigned long a[4];
	va_list more;

	va_start(more, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(more, unsigned long);
	va_end(more);
	if (option == PR_SET_THP_DISABLE && valid_set(a))
		return status_or_error(process_thp_set(flag_of(a)));
	if (option == PR_GET_THP_DISABLE && !a[0] && !a[1] && !a[2] && !a[3])
		return get_flag();
	return (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}

/* ---- exec ---- */

/* Run one exec; it returns only if it failed. */
#define EXEC(call)                                                                                 \
	({                                                                                         \
		bool counted = process_thp_exec_begin();                                           \
		int result = (call);                                                               \
		process_thp_exec_failed(counted);                                                  \
		result;                                                                            \
	})

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return EXEC(NEXT(execve)(path, argv, envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return EXEC(NEXT(execvpe)(file, argv, envp));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	return EXEC(NEXT(fexecve)(fd, argv, envp));
}

EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	return EXEC(NEXT(execveat)(dir, path, argv, envp, flags));
}

/* The arguments from `first` on as an array on the caller's stack: these functions may be called in
 * a signal handler.  `more` is left behind the NULL. */
#define LISTED(first, more)                                                                        \
	({                                                                                         \
		size_t n = count_listed(first, &(more));                                           \
		va_end(more);                                                                      \
		va_start(more, first);                                                             \
		const char **list = alloca((n + 1) * sizeof(*list));                               \
		list[0] = first;                                                                   \
		for (size_t i = 1; i <= n; i++)                                                    \
			list[i] = va_arg(more, const char *);                                      \
		(char *const *)list;                                                               \
	})

/* Without the NULL. */
static size_t count_listed(const char *first, va_list *more)
{
	size_t n = 0;

	for (const char *arg = first; arg; arg = va_arg(*more, const char *))
		n++;
	return n;
}

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list more;
	int result;

	va_start(more, arg);
	result = execve(path, LISTED(arg, more), environ);
	va_end(more);
	return result;
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list more;
	int result;

	va_start(more, arg);
	result = execvpe(file, LISTED(arg, more), environ);
	va_end(more);
	return result;
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list more;
	char *const *argv;
	int result;

	va_start(more, arg);
	argv = LISTED(arg, more);
	result = execve(path, argv, va_arg(more, char *const *));
	va_end(more);
	return result;
}

/* ---- what starts a program and returns ---- */

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	spawn_function *spawn = NEXT(posix_spawn);
	int error;

	process_thp_child_begin();
	error = spawn(pid, path, actions, attr, argv, envp);
	process_thp_child_end();
	return error;
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	spawn_function *spawn = NEXT(posix_spawnp);
	int error;

	process_thp_child_begin();
	error = spawn(pid, file, actions, attr, argv, envp);
	process_thp_child_end();
	return error;
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	FILE *(*open_pipe)(const char *, const char *) = NEXT(popen);
	FILE *pipe;

	process_thp_child_begin();
	pipe = open_pipe(command, mode);
	process_thp_child_end();
	return pipe;
}

static void end_of_system(void *unused)
{
	(void)unused;
	process_thp_child_end();
}

/* A thread may be cancelled while it waits for the command. */
EXPORT int system(const char *command)
{
	int (*run)(const char *) = NEXT(system);
	int status;

	process_thp_child_begin();
	pthread_cleanup_push(end_of_system, NULL);
	status = run(command);
	pthread_cleanup_pop(1);
	return status;
}
