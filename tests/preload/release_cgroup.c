/*
 * release_cgroup.c: run a command in a memory cgroup of its own.
 *
 *	release_cgroup [--limit BYTES] COMMAND...
 *
 * What a cgroup is charged is the truth about memory: RSS does not show a huge page that was given
 * back in part only (K1).  The command finds the file that says it in UNSPLIT_CHARGED.
 *
 * A command that hangs is ended after TIMEOUT seconds, so that the cgroup does not stay.  Exit
 * status: the command's; 1 if it was killed; 77 if there shall be a limit and no cgroup may be
 * made here.  Without a limit the command then runs as it is, with no UNSPLIT_CHARGED.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_POSSIBLE = 77, TIMEOUT = 95 };

/* The two versions of the interface. */
struct version {
	const char *root, *controller, *usage, *limit;
};

static const struct version versions[] = {
	{"/sys/fs/cgroup/memory", "memory", "memory.usage_in_bytes", "memory.limit_in_bytes"},
	{"/sys/fs/cgroup", "", "memory.current", "memory.max"},
};

static const struct version *version;
static char directory[PATH_MAX];

static int write_file(const char *name, const char *text)
{
	char path[PATH_MAX + 64];
	ssize_t written;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	written = write(fd, text, strlen(text));
	close(fd);
	return written < 0 ? -1 : 0;
}

/* A group without the memory controller is of no use. */
static bool make_in(const struct version *v, const char *parent)
{
	char usage[PATH_MAX + 64];

	snprintf(directory, sizeof(directory), "%s%s/unsplit-test-%d", v->root, parent, getpid());
	if (mkdir(directory, 0755) != 0)
		return false;
	snprintf(usage, sizeof(usage), "%s/%s", directory, v->usage);
	if (access(usage, R_OK) != 0) {
		rmdir(directory);
		return false;
	}
	version = v;
	return setenv("UNSPLIT_CHARGED", usage, 1) == 0;
}

/* Below the cgroup that we are in, or beside it at the root: in a container our path may not exist,
 * and a version 2 group with processes in it may have no children. */
static bool make_cgroup(void)
{
	char line[PATH_MAX];
	bool made = false;
	FILE *file = fopen("/proc/self/cgroup", "r");

	while (file && !made && fgets(line, sizeof(line), file)) {
		char *controller = strchr(line, ':');
		char *path = controller ? strchr(controller + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		for (size_t i = 0; i < 2 && !made; i++)
			if (strcmp(controller + 1, versions[i].controller) == 0)
				made = make_in(&versions[i], path) || make_in(&versions[i], "");
	}
	if (file)
		fclose(file);
	return made;
}

/* The kernel may need a moment to see that the last process is gone. */
static void remove_cgroup(void)
{
	for (int tries = 0; tries < 100 && rmdir(directory) != 0 && errno == EBUSY; tries++)
		usleep(20000);
}

static void become(char **command)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (version && write_file("cgroup.procs", "0") != 0) {
		perror("cgroup.procs");
		_exit(2);
	}
	alarm(TIMEOUT); /* outlives exec */
	execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

static int run(char **command)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		become(command);
	while (waitpid(child, &status, 0) != child)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "%s was ended by a signal: %s\n", command[0], strsignal(WTERMSIG(status)));
	return 1;
}

int main(int argc, char **argv)
{
	const char *limit = NULL;
	int status;

	if (argc > 2 && strcmp(argv[1], "--limit") == 0) {
		limit = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc < 2)
		return 2;
	if (!make_cgroup() && limit) {
		fprintf(stderr, "no memory cgroup can be made here\n");
		return NOT_POSSIBLE;
	}
	if (limit && write_file(version->limit, limit) != 0) {
		perror(version->limit);
		remove_cgroup();
		return 2;
	}
	status = run(argv + 1);
	if (version)
		remove_cgroup();
	return status;
}
