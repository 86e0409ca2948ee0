/* verdict.c: which rule a call site gets for what was learned of it. */
#include "cli/verdict.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"
#include "site/learn.h"
#include "site/rules.h"

enum verdict { HUGE, BASE, UNDECIDED };

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)((double)part * 100 / (double)whole) : 0;
}

static bool is_long_lived(const struct profile_row *row)
{
	return percent(row->lifetime_us, row->possible_us) >= LONG_PERCENT ||
	       row->lifetime_us / 1000000 >= row->requests * LONG_SECONDS;
}

/* What `bytes` of all blocks together come to when the site has the most at once. */
static uint64_t at_peak(const struct profile_row *row, uint64_t bytes)
{
	return row->bytes ? (uint64_t)((double)bytes * (double)row->peak / (double)row->bytes) : 0;
}

static uint64_t wasted(const struct profile_row *row)
{
	return row->room > row->touched ? at_peak(row, row->room - row->touched) : 0;
}

static bool wastes_much(const struct profile_row *row)
{
	return wasted(row) >= (uint64_t)WASTE_MIB << 20;
}

static enum verdict judge(const struct profile_row *row)
{
	unsigned density = percent(row->touched, row->room);

	if (density >= DENSE_PERCENT && is_long_lived(row))
		return HUGE;
	return density < SPARSE_PERCENT && wastes_much(row) ? BASE : UNDECIDED;
}

static const char *why_no_rule(const struct profile_row *row)
{
	unsigned density = percent(row->touched, row->room);

	if (density >= DENSE_PERCENT)
		return "but soon freed";
	return density < SPARSE_PERCENT ? "which wastes little" : "neither much nor little";
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

/* ---- comments ---- */

/* A comment ends at the line's end; names may hold anything. */
static void put_text(FILE *file, const char *words)
{
	for (; *words; words++)
		fputc((unsigned char)*words < ' ' ? ' ' : *words, file);
}

static void describe(FILE *file, const struct profile_row *row)
{
	fputs("# ", file);
	put_text(file, *row->caller ? row->caller : "(a function without a name)");
	fputs(" in ", file);
	put_text(file, *row->module ? row->module : "(no file)");
	fprintf(file, "\n# %lu request%s, %.1f MiB at once, each lived %.3f s on average\n",
	        (unsigned long)row->requests, row->requests == 1 ? "" : "s", mib(row->peak),
	        (double)row->lifetime_us / 1e6 / (double)row->requests);
	fprintf(file, "# stack: ");
	put_text(file, row->frames);
	fputc('\n', file);
}

static void explain(FILE *file, const struct profile_row *row, enum verdict verdict)
{
	if (!row->touched) {
		fputs("# never touched, so no rule\n", file);
		return;
	}
	fprintf(file, "# touched %u %% of the huge pages it would have: ",
	        percent(row->touched, row->room));
	fprintf(file, "%.1f MiB for %.1f MiB", mib(at_peak(row, row->room)),
	        mib(at_peak(row, row->touched)));
	if (verdict == BASE)
		fprintf(file, ", %.1f MiB wasted\n", mib(wasted(row)));
	else if (verdict == HUGE)
		fputc('\n', file);
	else
		fprintf(file, ",\n# %s, so no rule\n", why_no_rule(row));
}

/* ---- rules ---- */

/* The name of a rule is the caller's, as far as it fits, and the site, because it must stand only
 * once.  Brackets and what begins a comment would end it. */
static void name_rule(const struct profile_row *row, char name[RULES_TITLE_SIZE])
{
	const char *caller = *row->caller ? row->caller : "site";
	size_t length = strcspn(caller, "()[]#; "), most = RULES_TITLE_SIZE - 1 - 16 - 1;

	for (size_t i = 0; i < length && i < most; i++)
		if ((unsigned char)caller[i] <= ' ' || (unsigned char)caller[i] > '~')
			length = i;
	snprintf(name, RULES_TITLE_SIZE, "%.*s %s", (int)(length < most ? length : most), caller,
	         row->site);
}

/* With the size that was learned of: a rule for any size has each small request looked at. */
static void write_rule(FILE *file, const struct profile_row *row, enum verdict verdict)
{
	char name[RULES_TITLE_SIZE];

	name_rule(row, name);
	fprintf(file, "[site %s]\nsite = %s\nsize = >=%dK\npages = %s\n", name, row->site,
	        LEARN_LEAST >> 10, verdict == HUGE ? "huge" : "base");
}

static int by_peak(const void *a, const void *b)
{
	const struct profile_row *x = a, *y = b;

	return x->peak != y->peak ? (x->peak < y->peak) - (x->peak > y->peak)
	                          : strcmp(x->site, y->site);
}

void verdicts_write(struct learnt *l, FILE *file)
{
	size_t rules = 0, i = 0;

	if (l->count)
		qsort(l->rows, l->count, sizeof(*l->rows), by_peak);
	fprintf(file,
	        "# Written by \"unsplit learn\" from %u profile%s.  The first rule that holds "
	        "decides.\n",
	        l->profiles, l->profiles == 1 ? "" : "s");
	for (; i < l->count && l->rows[i].peak >= machine.unit && rules < RULES_MAX; i++) {
		enum verdict verdict = judge(&l->rows[i]);

		fputc('\n', file);
		describe(file, &l->rows[i]);
		explain(file, &l->rows[i], verdict);
		if (verdict == UNDECIDED)
			continue;
		write_rule(file, &l->rows[i], verdict);
		rules++;
	}
	fprintf(file, "\n# %zu smaller site%s not here.\n", l->count - i,
	        l->count - i == 1 ? " is" : "s are");
}
