/*
 * with_knob.c: run a command while a kernel setting has another value, and put it back.
 *
 *	with_knob FILE VALUE COMMAND...
 *
 * The setting is put back however the command ends, and after TIMEOUT seconds at the latest, so
 * that a test that hangs does not leave the machine changed.  Exit status: the command's; 77 if the
 * setting may not be changed here.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_POSSIBLE = 77, TIMEOUT = 100 };

static volatile pid_t child;

static void end_child(int sig)
{
	if (child > 0)
		kill(child, SIGKILL);
}

static void read_knob(const char *path, char *value, size_t size)
{
	FILE *file = fopen(path, "r");
	char *open, *close;

	if (!file || !fgets(value, (int)size, file)) {
		perror(path);
		exit(NOT_POSSIBLE);
	}
	fclose(file);
	value[strcspn(value, "\n")] = '\0';
	/* "always [madvise] never": the word in brackets is the value. */
	open = strchr(value, '[');
	close = strchr(value, ']');
	if (open && close) {
		*close = '\0';
		memmove(value, open + 1, strlen(open + 1) + 1);
	}
}

static int write_knob(const char *path, const char *value)
{
	FILE *file = fopen(path, "w");
	int result;

	if (!file)
		return -1;
	result = fputs(value, file) < 0 ? -1 : 0;
	return fclose(file) != 0 ? -1 : result;
}

static int run(char **command)
{
	int status;

	child = fork();
	if (child == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	alarm(TIMEOUT);
	while (waitpid(child, &status, 0) != child)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	char old[256];
	int status;

	if (argc < 4)
		return 2;
	signal(SIGALRM, end_child);
	signal(SIGINT, end_child);
	signal(SIGTERM, end_child);
	read_knob(argv[1], old, sizeof(old));
	if (write_knob(argv[1], argv[2]) != 0) {
		perror(argv[1]);
		return NOT_POSSIBLE;
	}
	status = run(argv + 3);
	if (write_knob(argv[1], old) != 0) {
		perror(argv[1]);
		return 2;
	}
	return status;
}
