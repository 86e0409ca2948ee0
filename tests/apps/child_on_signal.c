/*
 * child_on_signal.c: preloaded into a real program, to have it start a child when we say so.
 *
 * On SIGUSR2 it forks, and the child becomes the program of CHILD_ON_SIGNAL, whose standard output
 * is the file CHILD_ON_SIGNAL_OUTPUT.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void start_child(int sig)
{
	const char *program = getenv("CHILD_ON_SIGNAL");
	const char *output = getenv("CHILD_ON_SIGNAL_OUTPUT");

	(void)sig;
	if (fork() != 0)
		return;
	if (dup2(open(output, O_WRONLY | O_CREAT | O_APPEND, 0600), STDOUT_FILENO) >= 0)
		execl(program, program, (char *)NULL);
	_exit(127);
}

__attribute__((constructor)) static void install(void)
{
	signal(SIGUSR2, start_child);
}
