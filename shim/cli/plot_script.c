/* plot_script.c: scripts for gnuplot. */
#include "cli/plot_script.h"

#include <string.h>

#include "cli/cli.h"

/* In gnuplot's single quotes only the quote itself is special. */
static void put_quoted(FILE *out, const char *s)
{
	putc('\'', out);
	for (; *s; s++) {
		if (*s == '\'')
			putc('\'', out);
		putc(*s == '\n' ? ' ' : *s, out);
	}
	putc('\'', out);
}

static void put_setting(FILE *out, const char *setting, const char *value, const char *end)
{
	fprintf(out, "set %s ", setting);
	put_quoted(out, value);
	fprintf(out, "%s\n", end);
}

/* A name that starts with '<' would be a command to gnuplot, and '-' its input. */
static void put_file(FILE *out, const struct recording *r)
{
	put_quoted(out, text("%s%s", *r->path == '/' ? "" : "./", r->path));
}

/* The column of a figure in the file; the first is the time. */
static int column_of(enum sample_figure figure)
{
	return (int)figure + 2;
}

static void put_head(FILE *out, const struct plot *p, int height)
{
	fprintf(out, "set terminal %s size 900,%d\n", p->terminal, height);
	put_setting(out, "output", p->target, "");
	fputs("set datafile separator ','\nset datafile columnheaders\n"
	      "set yrange [0:*]\nset grid\n",
	      out);
}

/* ---- one recording: its figures ---- */

static const struct curve {
	enum sample_figure figure;
	const char *name, *colour;
} curves[] = {
	{SAMPLE_CHARGED, "charged to the cgroup", "#999999"},
	{SAMPLE_BACKED, "backed", "#0072b2"},
	{SAMPLE_HUGE, "on huge pages", "#009e73"},
	{SAMPLE_USED, "used by the program", "#d55e00"},
};

static void put_curves(FILE *out, const struct recording *r)
{
	const char *before = "plot ";

	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (!r->drawn[curves[i].figure])
			continue;
		fputs(before, out);
		put_file(out, r);
		fprintf(out,
		        " using ($1/1000):($%d/1048576) with lines linewidth 2 linecolor rgb '%s' "
		        "title '%s'",
		        column_of(curves[i].figure), curves[i].colour, curves[i].name);
		before = ", ";
	}
	putc('\n', out);
}

static void script_of_one(FILE *out, const struct plot *p)
{
	put_head(out, p, 500);
	fputs("set xlabel 'seconds'\nset ylabel 'MiB'\nset key outside below horizontal\n", out);
	if (p->title)
		put_setting(out, "title", p->title, " noenhanced");
	put_curves(out, p->recordings);
}

/* ---- several: one figure of each ---- */

/* Told apart by the colour-blind too; beyond the last they come again. */
static const char *const colours[] = {
	"#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
};

static const char *colour_of(size_t i)
{
	return colours[i % (sizeof(colours) / sizeof(colours[0]))];
}

/* The file's name without directories and ending. */
static const char *name_of(const struct recording *r)
{
	const char *slash = strrchr(r->path, '/');
	const char *base = slash ? slash + 1 : r->path;
	const char *dot = strrchr(base, '.');

	return text("%.*s", (int)(dot && dot > base ? dot - base : (long)strlen(base)), base);
}

/* `value` is what gnuplot makes of a row.  Names are in one panel only. */
static void put_panel(FILE *out, const struct plot *p, const char *value, bool named)
{
	for (size_t i = 0; i < p->count; i++) {
		fputs(i ? ", " : "plot ", out);
		put_file(out, &p->recordings[i]);
		fprintf(out, " using ($1/1000):(%s) with lines linewidth 2 linecolor rgb '%s' ",
		        value, colour_of(i));
		if (named) {
			fputs("title ", out);
			put_quoted(out, name_of(&p->recordings[i]));
			fputs(" noenhanced", out);
		} else {
			fputs("notitle", out);
		}
	}
}

/* What the program itself holds: only the library knows, so it is that of the first recording that
 * was made with it. */
static void put_used(FILE *out, const struct plot *p)
{
	const struct recording *r = p->recordings;

	while (r < p->recordings + p->count && !r->drawn[SAMPLE_USED])
		r++;
	if (r == p->recordings + p->count)
		return;
	fputs(", ", out);
	put_file(out, r);
	fprintf(out,
	        " using ($1/1000):($%d/1048576) with lines linewidth 2 dashtype 2 linecolor rgb "
	        "'#666666' title ",
	        column_of(SAMPLE_USED));
	put_quoted(out, text("used by the program (%s)", name_of(r)));
	fputs(" noenhanced", out);
}

static bool all_have(const struct plot *p, enum sample_figure figure)
{
	for (size_t i = 0; i < p->count; i++)
		if (!p->recordings[i].drawn[figure])
			return false;
	return true;
}

static void script_of_several(FILE *out, const struct plot *p)
{
	bool charged = all_have(p, SAMPLE_CHARGED);
	enum sample_figure memory = charged ? SAMPLE_CHARGED : SAMPLE_BACKED;

	put_head(out, p, 700);
	fputs("set multiplot\nset lmargin 10\nset rmargin 3\n", out);
	fputs("set size 1,0.6\nset origin 0,0.4\nset bmargin 1\nset format x ''\n"
	      "set key outside above horizontal\n",
	      out);
	if (p->title)
		put_setting(out, "title", p->title, " noenhanced");
	fprintf(out, "set ylabel '%s, MiB'\n", charged ? "charged to the cgroup" : "backed");
	put_panel(out, p, text("$%d/1048576", column_of(memory)), true);
	put_used(out, p);
	fputs("\nunset title\nset size 1,0.4\nset origin 0,0\nset tmargin 1\nset bmargin 3\n"
	      "set format x\nset xlabel 'seconds'\nset ylabel '% of it on huge pages'\n"
	      "set yrange [0:105]\nset ytics 25\n",
	      out);
	put_panel(out, p, text("100.0*$%d/$%d", column_of(SAMPLE_HUGE), column_of(SAMPLE_BACKED)),
	          false);
	fputs("\nunset multiplot\n", out);
}

void plot_script(FILE *out, const struct plot *p)
{
	if (p->count == 1)
		script_of_one(out, p);
	else
		script_of_several(out, p);
}
