/* plot.c: `unsplit plot`: draws a recording, by gnuplot. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/flags.h"
#include "cli/output.h"
#include "cli/plot_script.h"
#include "cli/record.h"
#include "cli/sample.h"
#include "cli/target.h"
#include "kernel/say.h"

enum { COLUMNS = 1 + SAMPLE_FIGURES };

struct request {
	const char *output, *title;
	const char *terminal; /* gnuplot's name for the output's form */
	char **inputs;
};

/* ---- the recording ---- */

static const char *expected_head(void)
{
	static char head[256];
	size_t used = say_into(head, sizeof(head), RECORD_TIME);

	for (int i = 0; i < SAMPLE_FIGURES; i++)
		used += say_into(head + used, sizeof(head) - used, ",%s", sample_keys[i]);
	return head;
}

static bool check_head(const char *path, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, expected_head()) == 0)
		return true;
	say("%s:1: this is no recording of this version of unsplit: its first line is not \"%s\"",
	    path, expected_head());
	return false;
}

/* Cells hold a number, or nothing where that was not known. */
static bool check_row(const char *path, char *line, struct recording *r)
{
	unsigned long number = r->rows + 2;
	bool complete = strchr(line, '\n');
	char *rest = line, *cell;
	uint64_t value;
	int count = 0;

	line[strcspn(line, "\n")] = '\0';
	for (; (cell = strsep(&rest, ",")); count++) {
		if (*cell && !parse_number(cell, 0, UINT64_MAX, &value)) {
			say("%s:%lu: \"%s\" is no number", path, number, cell);
			return false;
		}
		if (*cell && count > 0 && count < COLUMNS)
			r->drawn[count - 1] = true;
	}
	if (complete && count == COLUMNS)
		return true;
	say("%s:%lu: %d values where %d and the end of a line are expected: the file is cut off",
	    path, number, count, COLUMNS);
	return false;
}

static bool check_rows(const char *path, FILE *file, struct recording *r)
{
	char *line = NULL;
	size_t size = 0;
	bool good;

	good = getline(&line, &size, file) > 0;
	if (!good)
		say("%s:1: the file is empty", path);
	good = good && check_head(path, line);
	while (good && getline(&line, &size, file) > 0) {
		good = check_row(path, line, r);
		r->rows++;
	}
	free(line);
	if (good && ferror(file)) {
		say("%s cannot be read: %s", path, strerror(errno));
		return false;
	}
	return good;
}

static bool check(struct recording *r)
{
	const char *path = r->path;
	FILE *file = fopen(path, "re");
	bool good;

	if (!file) {
		say("%s cannot be read: %s", path, strerror(errno));
		return false;
	}
	good = check_rows(path, file, r);
	fclose(file);
	if (good && r->rows < 2) {
		say("%s: a line needs two looks, and there are only %lu; record with a smaller -i",
		    path, r->rows);
		return false;
	}
	return good;
}

/* ---- gnuplot ---- */

_Noreturn static void become_gnuplot(const char *path, const int *script)
{
	dup2(script[0], STDIN_FILENO);
	execl(path, "gnuplot", "-", (char *)NULL);
	_exit(127);
}

/* Whether gnuplot liked the script and did its work. */
static bool run(const char *path, const struct request *q, const struct plot *p)
{
	int script[2], status = 0;
	FILE *out;
	pid_t child;

	if (pipe2(script, O_CLOEXEC) != 0 || (child = fork()) < 0) {
		say("gnuplot cannot be started: %s", strerror(errno));
		return false;
	}
	if (child == 0)
		become_gnuplot(path, script);
	close(script[0]);
	signal(SIGPIPE, SIG_IGN); /* its exit status says enough */
	out = fdopen(script[1], "w");
	if (out) {
		plot_script(out, p);
		fclose(out);
	}
	if (out && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0)
		return true;
	say("gnuplot did not draw %s: it ended with status %d", q->output,
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return false;
}

static bool find_gnuplot(char *path, size_t size)
{
	if (target_find("gnuplot", path, size) == 0)
		return true;
	say("plot needs gnuplot, which is not found in PATH; on Debian: apt-get install "
	    "gnuplot-nox");
	return false;
}

/* ---- */

static const char *terminal_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot && strcmp(dot, ".svg") == 0)
		return "svg background 'white'";
	if (dot && strcmp(dot, ".png") == 0)
		return "pngcairo";
	return NULL;
}

static bool parse(struct request *q, char **args)
{
	const struct flag flags[] = {{"-o", NULL, &q->output}, {"--title", NULL, &q->title}};

	args = take_flags("plot", args, flags, sizeof(flags) / sizeof(flags[0]), false);
	if (!args)
		return false;
	if (!args[0] || !q->output) {
		say("plot needs a recording and -o FILE; \"unsplit help plot\" tells more");
		return false;
	}
	q->inputs = args;
	q->terminal = terminal_of(q->output);
	if (!q->terminal)
		say("plot: option -o: \"%s\" does not end in .svg or .png", q->output);
	return q->terminal != NULL;
}

/* All of them, or NULL after a line on stderr: a drawing without one would mislead. */
static struct recording *check_all(char **paths, size_t *count)
{
	struct recording *recordings;

	for (*count = 0; paths[*count];)
		(*count)++;
	recordings = calloc(*count, sizeof(*recordings));
	if (!recordings)
		die("out of memory");
	for (size_t i = 0; i < *count; i++) {
		recordings[i].path = paths[i];
		if (!check(&recordings[i]))
			return NULL;
	}
	return recordings;
}

static int plot_main(char **args)
{
	struct request q = {.title = NULL};
	struct plot p;
	char gnuplot[PATH_MAX];
	struct output o;
	bool drawn;

	if (!parse(&q, args))
		return EXIT_USAGE;
	p = (struct plot){.terminal = q.terminal, .title = q.title};
	p.recordings = check_all(q.inputs, &p.count);
	if (!p.recordings || !find_gnuplot(gnuplot, sizeof(gnuplot)) || !output_open(&o, q.output))
		return 1;
	p.target = o.temporary;
	drawn = run(gnuplot, &q, &p);
	return output_close(&o, drawn) && drawn ? 0 : 1;
}

const struct command plot_command = {
	.name = "plot",
	.summary = "draw recordings: what was used, backed, charged and huge over time",
	.usage = "Usage: unsplit plot RECORDING... -o FILE.svg|FILE.png [--title TEXT]\n"
		 "\n"
		 "Draw what `unsplit record` wrote: the memory that the program used, that was\n"
		 "backed, that was on huge pages, and that its memory cgroup was charged, over\n"
		 "time.  Of several recordings, such as one without the library and one with it,\n"
		 "only what was charged (or backed, where that is not known) and how much of it\n"
		 "was huge, a line each, named as its file is.  Needs gnuplot.\n"
		 "\n"
		 "The exit status is 0; 1 if a recording cannot be read or drawn; 2 on wrong\n"
		 "usage.\n",
	.main = plot_main,
};
