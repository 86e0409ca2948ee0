/* sample.c: the figures of a process at one moment. */
#include "cli/sample.h"

const char *const sample_keys[SAMPLE_FIGURES] = {
	[SAMPLE_USED] = "used",
	[SAMPLE_BACKED] = "backed",
	[SAMPLE_CHARGED] = "charged",
	[SAMPLE_HUGE] = "huge",
	[SAMPLE_BROKEN] = "broken",
	[SAMPLE_RETURNED] = "returned_units",
	[SAMPLE_DEMOTED] = "demoted_units",
	[SAMPLE_HEALED] = "healed_units",
	[SAMPLE_CUTS] = "map_cuts",
};

static void set(struct sample *s, enum sample_figure figure, uint64_t value)
{
	s->value[figure] = value;
	s->known[figure] = true;
}

static void set_heap(struct sample *s, const struct view *v)
{
	set(s, SAMPLE_USED, v->all.used);
	if (v->broken_known)
		set(s, SAMPLE_BROKEN, v->all.broken);
	set(s, SAMPLE_RETURNED, v->stats.returned_units);
	set(s, SAMPLE_DEMOTED, v->stats.demoted_units);
	set(s, SAMPLE_HEALED, v->stats.healed_units);
	set(s, SAMPLE_CUTS, v->stats.map_cuts);
}

struct sample sample_of(const struct view *v)
{
	struct sample s = {{0}, {false}};

	if (*v->release)
		set_heap(&s, v);
	set(&s, SAMPLE_BACKED, v->process.anonymous);
	set(&s, SAMPLE_HUGE, v->process.anon_huge);
	if (v->charged_known)
		set(&s, SAMPLE_CHARGED, v->charged);
	return s;
}

struct sample sample_since(const struct sample *now, const struct sample *before)
{
	struct sample s = *now;

	/* A program that began anew by exec counts from 0 again. */
	for (int i = SAMPLE_COUNTERS; i < SAMPLE_FIGURES; i++)
		if (now->value[i] >= before->value[i])
			s.value[i] -= before->value[i];
	return s;
}

void sample_print_json(FILE *out, const struct sample *s)
{
	for (int i = 0; i < SAMPLE_FIGURES; i++) {
		fprintf(out, "%s\"%s\": ", i ? ", " : "", sample_keys[i]);
		if (s->known[i])
			fprintf(out, "%lu", (unsigned long)s->value[i]);
		else
			fputs("null", out);
	}
}
