/* trial.c: run a command under a rule file, and collect what the rules decided. */
#include "cli/trial.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "kernel/say.h"

bool trial_start(struct trial *t, const char *file)
{
	memset(t, 0, sizeof(*t));
	/* The command may change its directory before it starts others. */
	if (!realpath(file, t->file)) {
		say("%s: %s", file, strerror(errno));
		return false;
	}
	if (strchr(t->file, ',')) {
		say("%s: UNSPLIT_CONF cannot hold a path with a comma", t->file);
		return false;
	}
	say_into(t->directory, sizeof(t->directory), "/tmp/unsplit-check-XXXXXX");
	if (mkdtemp(t->directory))
		return true;
	say("cannot make a directory in /tmp: %s", strerror(errno));
	return false;
}

/* In the child: `unsplit run` knows how to start a command, and what to say if it cannot. */
static void become(const struct trial *t, char **command)
{
	const char *head[] = {"unsplit", "run", text("--rules=%s", t->file),
	                      text("--report=%s/%%p.json", t->directory), "--"};
	enum { HEAD = sizeof(head) / sizeof(head[0]) };
	size_t count = 0;
	char **args;

	while (command[count])
		count++;
	args = calloc(HEAD + count + 1, sizeof(*args));
	if (!args)
		die("out of memory");
	memcpy(args, head, sizeof(head));
	memcpy(args + HEAD, command, count * sizeof(*args));
	execv("/proc/self/exe", args);
	die("cannot start myself again: %s", strerror(errno));
}

static int status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Ctrl-C shall end the command, and not keep us from telling what it did until then. */
void trial_run(struct trial *t, char **command)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
	int status = 0;
	pid_t child;

	fflush(stdout);
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	child = fork();
	if (child == 0) {
		sigaction(SIGINT, &interrupt, NULL);
		sigaction(SIGQUIT, &quit, NULL);
		become(t, command);
	}
	if (child < 0)
		die("cannot fork: %s", strerror(errno));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	t->status = status_of(status);
}

static struct trial_count *count_at(const struct rules *rules, struct trial_count *counts,
                                    unsigned long line)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules->rule[i].line == line)
			return &counts[i];
	return NULL;
}

/* Add up the table "rules" of a report.  Our own emitter wrote it, one value a line and without
 * nesting, and a rule's line number tells which one it is; so this is all the JSON there is. */
static void add_report(FILE *report, const struct rules *rules, struct trial_count *counts)
{
	struct trial_count *rule = NULL;
	bool in_table = false;
	unsigned long value;
	char line[512];

	while (fgets(line, sizeof(line), report)) {
		if (strncmp(line, "  \"rules\":", 10) == 0)
			in_table = true;
		else if (line[0] && line[1] && line[2] == ']')
			in_table = false;
		if (!in_table)
			continue;
		if (sscanf(line, "      \"line\": %lu", &value) == 1)
			rule = count_at(rules, counts, value);
		else if (rule && sscanf(line, "      \"count\": %lu", &value) == 1)
			rule->requests += value;
		else if (rule && sscanf(line, "      \"bytes\": %lu", &value) == 1)
			rule->bytes += value;
	}
}

static void take_report(struct trial *t, const char *path, const struct rules *rules,
                        struct trial_count *counts)
{
	FILE *report = fopen(path, "re");

	if (!report)
		return;
	add_report(report, rules, counts);
	fclose(report);
	t->processes++;
}

void trial_collect(struct trial *t, const struct rules *rules, struct trial_count *counts)
{
	DIR *directory = opendir(t->directory);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		path = text("%s/%s", t->directory, entry->d_name);
		take_report(t, path, rules, counts);
		unlink(path);
		free(path);
	}
	if (directory)
		closedir(directory);
	rmdir(t->directory);
}
