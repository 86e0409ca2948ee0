/* child.c: starts a program. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "kernel/say.h"

/* Two pipes: the child waits for a byte on `go`, and writes to `failed` why it could not become the
 * program; exec closes that, which says that it could. */
struct pipes {
	int go[2], failed[2];
};

_Noreturn static void become(const struct pipes *p, char **command)
{
	char byte;
	int error;

	if (read(p->go[0], &byte, 1) != 1)
		_exit(1);
	execvp(*command, command);
	error = errno;
	if (write(p->failed[1], &error, sizeof(error)) < 0)
		error = 0; /* nobody is left to tell */
	_exit(EXIT_NOT_EXECUTABLE);
}

static int complain(const char *command, int error)
{
	char path[PATH_MAX];

	/* It may only have met a directory in PATH that it may not search. */
	if (error == EACCES)
		error = target_find(command, path, sizeof(path));
	if (error == ENOENT) {
		say("\"%s\" is not found", command);
		return EXIT_NOT_FOUND;
	}
	say("\"%s\" cannot be executed: %s", command, strerror(error ? error : EACCES));
	return EXIT_NOT_EXECUTABLE;
}

/* An exit status. */
static int release(struct child *c, const struct pipes *p, char **command,
                   bool (*prepare)(pid_t pid, void *arg), void *arg)
{
	bool go = !prepare || prepare(c->pid, arg);
	int error;

	close(p->go[0]);
	close(p->failed[1]);
	if (!go || write(p->go[1], "", 1) != 1) {
		close(p->go[1]);
		waitpid(c->pid, NULL, 0);
		return 1;
	}
	close(p->go[1]);
	if (read(p->failed[0], &error, sizeof(error)) != sizeof(error))
		return 0;
	waitpid(c->pid, NULL, 0);
	return complain(*command, error);
}

int child_start(struct child *c, char **command, bool (*prepare)(pid_t pid, void *arg), void *arg)
{
	struct pipes p;
	int status;

	if (pipe2(p.go, O_CLOEXEC) != 0 || pipe2(p.failed, O_CLOEXEC) != 0 ||
	    (c->pid = fork()) < 0) {
		say("\"%s\" cannot be started: %s", *command, strerror(errno));
		return EXIT_NOT_EXECUTABLE;
	}
	if (c->pid == 0) {
		close(p.go[1]);
		become(&p, command);
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	status = release(c, &p, command, prepare, arg);
	close(p.failed[0]);
	return status;
}

int child_end(struct child *c)
{
	int status;

	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
