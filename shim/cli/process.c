/* process.c: another process, looked at from outside. */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "kernel/say.h"
#include "kernel/sysfs.h"

const char *process_path(struct process *p, const char *file)
{
	snprintf(p->path, sizeof(p->path), "/proc/self/fd/%d/%s", p->dir, file);
	return p->path;
}

static void read_command(struct process *p)
{
	if (sysfs_read(process_path(p, "comm"), p->command, sizeof(p->command)) <= 0)
		p->command[0] = '\0';
	p->command[strcspn(p->command, "\n")] = '\0';
	for (char *c = p->command; *c; c++) /* a terminal obeys control characters */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

int process_open(struct process *p, pid_t pid)
{
	*p = (struct process){.pid = pid};
	snprintf(p->path, sizeof(p->path), "/proc/%d", (int)pid);
	p->dir = open(p->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0)
		return errno;
	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	read_command(p);
	p->had_memory = process_has_memory(p);
	return 0;
}

void process_close(struct process *p)
{
	if (p->pidfd >= 0)
		close(p->pidfd);
	close(p->dir);
}

int process_find(struct process *p, const char *who, const char *word)
{
	uint64_t pid;
	int error;

	if (!parse_number(word, 1, INT_MAX, &pid)) {
		say("%s: \"%s\" is no process id, which is a number from 1 on", who, word);
		return EXIT_USAGE;
	}
	error = process_open(p, (pid_t)pid);
	if (!error)
		return 0;
	if (error == ENOENT)
		say("there is no process %lu", (unsigned long)pid);
	else
		say("/proc/%lu cannot be read: %s", (unsigned long)pid, strerror(error));
	return 1;
}

/* The letter of /proc/PID/stat, behind the name in parentheses, which may hold any; 0 if there is
 * no such process any more. */
static char state_of(struct process *p)
{
	char stat[256];
	const char *end;

	if (sysfs_read(process_path(p, "stat"), stat, sizeof(stat)) <= 0)
		return 0;
	end = strrchr(stat, ')');
	if (!end || end[1] != ' ')
		return 0;
	return end[2];
}

bool process_runs(struct process *p)
{
	char state = state_of(p);

	return state && state != 'Z' && state != 'X' && (!p->had_memory || process_has_memory(p));
}

bool process_has_memory(struct process *p)
{
	uint64_t size;

	return sysfs_field(process_path(p, "status"), "VmSize", &size);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void process_wait(struct process *p, uint64_t milliseconds)
{
	uint64_t end = now() + milliseconds, at;
	struct pollfd ended = {.fd = p->pidfd, .events = POLLIN}; /* poll() passes -1 over */

	while ((at = now()) < end)
		if (poll(&ended, 1, (int)(end - at)) > 0)
			return;
}

int process_read(const struct process *p, uint64_t from, void *to, size_t bytes)
{
	struct iovec here = {to, bytes}, there = {(void *)(uintptr_t)from, bytes};
	ssize_t n = process_vm_readv(p->pid, &here, 1, &there, 1, 0);

	if (n < 0)
		return errno;
	return (size_t)n == bytes ? 0 : EFAULT;
}

int process_complain(struct process *p, const char *what, int error)
{
	if (!process_runs(p) && p->may_end)
		return 1;
	if (!process_runs(p))
		say("process %d (%s) has ended", (int)p->pid, p->command);
	else if (!process_has_memory(p))
		say("process %d (%s) is a thread of the kernel and has no memory of its own",
		    (int)p->pid, p->command);
	else if (error == EACCES || error == EPERM)
		say("%s of process %d (%s) may not be read by this user; be its user, or root",
		    what, (int)p->pid, p->command);
	else
		say("%s of process %d (%s) cannot be read: %s", what, (int)p->pid, p->command,
		    strerror(error));
	return 1;
}
