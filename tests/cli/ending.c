/*
 * ending.c: ending HOW: fills 8 MiB from the function ending_block and ends as it is told, with
 * status 3 if it has one:
 *
 *   exit, _exit, _Exit, quick_exit
 *   a number       by this signal, once what the library writes while we run (options `learn` and
 *                  `report_every`) was begun after the 8 MiB were there
 *   vfork          by _exit, after a child of vfork() ended so
 *   raw-fork       by exit, after a child ended so that no fork handler saw
 *   fork           by exit, after a forked child filled twice 4 MiB from child_block and ended so;
 *                  prints its process id
 *   fork-killed    the same, but the child waits as for a signal, and is killed
 *   handler        by _exit in the handler of a signal that comes in the middle of malloc and free
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __clang__
#define NAMED __attribute__((noinline, optnone, visibility("default")))
#else
#define NAMED __attribute__((noipa, visibility("default")))
#endif

void *ending_block(size_t bytes);
void *child_block(size_t bytes);

NAMED void *ending_block(size_t bytes)
{
	return memset(malloc(bytes), 1, bytes);
}

NAMED void *child_block(size_t bytes)
{
	return memset(malloc(bytes), 2, bytes);
}

/* The file that the library writes for us. */
static void find_file(char *path, size_t size)
{
	const char *conf = getenv("UNSPLIT_CONF"), *where = NULL;

	for (const char *p = conf; p && *p; p++)
		if ((strncmp(p, "learn:", 6) == 0 || strncmp(p, "report:", 7) == 0) &&
		    (p == conf || p[-1] == ','))
			where = strchr(p, ':') + 1;
	if (!where)
		exit(70);
	size_t length = strcspn(where, ",%");
	snprintf(path, size, "%.*s", (int)length, where);
	if (where[length] == '%')
		snprintf(path + length, size - length, "%d.json", (int)getpid());
}

static ino_t number(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0 ? s.st_ino : 0;
}

/* The first that comes may have been begun before; the second was not. */
static void wait_for_two_files(void)
{
	const struct timespec moment = {0, 10000000};
	char path[512];

	find_file(path, sizeof(path));
	for (int files = 0, waits = 0; files < 2; files++)
		for (ino_t before = number(path); number(path) == before; waits++) {
			if (waits > 6000)
				exit(71);
			nanosleep(&moment, NULL);
		}
}

static void in_child(const char *how)
{
	void *p = NULL;

	/* One site: the compiler may not make two calls of this. */
	for (volatile int i = 0; i < 2; i++) {
		free(p);
		p = child_block(4 << 20);
	}
	printf("%d\n", (int)getpid());
	fflush(stdout);
	if (strcmp(how, "fork-killed") == 0) {
		wait_for_two_files();
		kill(getpid(), SIGKILL);
	}
	free(p);
	exit(0);
}

static void on_alarm(int unused)
{
	(void)unused;
	_exit(3);
}

static void allocate_until_alarm(void)
{
	struct itimerval soon = {{0, 0}, {0, 50000}};
	struct sigaction action = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	for (;;)
		free(ending_block(128 << 10));
}

static void fork_first(const char *how)
{
	pid_t child = strcmp(how, "raw-fork") == 0 ? (pid_t)syscall(SYS_fork) : fork();

	if (!child && strcmp(how, "raw-fork") == 0)
		exit(0);
	if (!child)
		in_child(how);
	waitpid(child, NULL, 0);
	exit(3);
}

static void vfork_first(void)
{
	if (!vfork())
		_exit(0);
	_exit(3);
}

static void end_by_exit(const char *how)
{
	if (strcmp(how, "_exit") == 0)
		_exit(3);
	if (strcmp(how, "_Exit") == 0)
		_Exit(3);
	if (strcmp(how, "quick_exit") == 0)
		quick_exit(3);
	exit(3);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	ending_block(8 << 20);
	if (strcmp(how, "handler") == 0)
		allocate_until_alarm();
	if (strcmp(how, "vfork") == 0)
		vfork_first();
	if (strstr(how, "fork"))
		fork_first(how);
	if (atoi(how)) {
		wait_for_two_files();
		kill(getpid(), atoi(how));
	}
	end_by_exit(how);
}
