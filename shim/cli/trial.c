/* trial.c: run a command to see what it does. */
#include "cli/trial.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "kernel/say.h"

bool trial_open(struct trial *t)
{
	memset(t, 0, sizeof(*t));
	say_into(t->directory, sizeof(t->directory), "/tmp/unsplit-trial-XXXXXX");
	if (mkdtemp(t->directory))
		return true;
	say("cannot make a directory in /tmp: %s", strerror(errno));
	return false;
}

bool trial_start(struct trial *t, const char *file)
{
	char path[PATH_MAX];

	/* The command may change its directory before it starts others. */
	if (!realpath(file, path)) {
		say("%s: %s", file, strerror(errno));
		return false;
	}
	if (strchr(path, ',')) {
		say("%s: UNSPLIT_CONF cannot hold a path with a comma", path);
		return false;
	}
	if (!trial_open(t))
		return false;
	t->options[0] = text("--rules=%s", path);
	t->options[1] = text("--report=%s/%%p.json", t->directory);
	t->options[2] = text("--report-every=1s");
	return true;
}

/* In the child: `unsplit run` knows how to start a command, and what to say if it cannot. */
static void become(const struct trial *t, char **command)
{
	size_t count = 0, at = 0;
	char **args;

	while (command[count])
		count++;
	args = calloc(count + 7, sizeof(*args));
	if (!args)
		die("out of memory");
	args[at++] = text("unsplit");
	args[at++] = text("run");
	for (size_t i = 0; i < 3 && t->options[i]; i++)
		args[at++] = t->options[i];
	args[at++] = text("--");
	memcpy(args + at, command, count * sizeof(*args));
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

static void take_file(struct trial *t, const char *path, void (*take)(FILE *file, void *context),
                      void *context)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return;
	take(file, context);
	fclose(file);
	t->processes++;
}

/* A process that was killed may leave one that it was just writing (report/whole_file.h). */
static bool is_whole(const char *path)
{
	static const char part[] = ".part";
	size_t length = strlen(path), end = sizeof(part) - 1;

	return length < end || strcmp(path + length - end, part) != 0;
}

void trial_close(struct trial *t, void (*take)(FILE *file, void *context), void *context)
{
	DIR *directory = opendir(t->directory);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		path = text("%s/%s", t->directory, entry->d_name);
		if (is_whole(path))
			take_file(t, path, take, context);
		unlink(path);
		free(path);
	}
	if (directory)
		closedir(directory);
	rmdir(t->directory);
}

struct counting {
	const struct rules *rules;
	struct trial_count *counts;
};

static void take_report(FILE *report, void *context)
{
	const struct counting *c = context;

	add_report(report, c->rules, c->counts);
}

void trial_collect(struct trial *t, const struct rules *rules, struct trial_count *counts)
{
	trial_close(t, take_report, &(struct counting){rules, counts});
}
