/* live_sites.c: copies the tables of call sites out of a process. */
#include "cli/live_sites.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/symbolize.h"
#include "kernel/say.h"
#include "report/report_sites.h"
#include "site/modules.h"
#include "site/rules.h"

static int read_there(const struct process *p, const void *from, void *to, size_t bytes)
{
	return process_read(p, (uint64_t)(uintptr_t)from, to, bytes);
}

/* Its rule is here where it was there; a site that is just being added is not one yet. */
static bool adopt(struct site *s, const void *rules)
{
	size_t at = (size_t)((const char *)s->rule - (const char *)rules);
	size_t first = offsetof(struct rules, rule);

	if (s->rule && (at < first || at >= sizeof(struct rules)))
		return false;
	if (s->rule)
		s->rule = &site_rules.rule[(at - first) / sizeof(struct rule)];
	for (size_t i = 0; s->frame_count <= FRAMES_MOST && i < s->frame_count; i++)
		if (s->frames[i] >> 48 >= MODULES_MOST)
			return false;
	return s->hash && s->frame_count && s->frame_count <= FRAMES_MOST;
}

static void adopt_all(struct live_site_list *l, const void *rules)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++)
		if (adopt(&l->sites[i], rules))
			l->sites[kept++] = l->sites[i];
	l->count = kept;
}

static void end_strings(void)
{
	for (size_t i = 0; i < MODULES_MOST; i++) {
		modules[i].name[sizeof(modules[i].name) - 1] = '\0';
		modules[i].path[sizeof(modules[i].path) - 1] = '\0';
	}
	for (size_t i = 0; i < RULES_MAX; i++)
		site_rules.rule[i].title[RULES_TITLE_SIZE - 1] = '\0';
}

static int by_bytes(const void *x, const void *y)
{
	const struct site *a = x, *b = y;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* The sites first: what they refer to was there before them. */
static int copy(struct live_site_list *l, const struct live_sites *where, const void *table,
                const struct process *p)
{
	int error = read_there(p, where->count, &l->count, sizeof(l->count));

	if (error)
		return error;
	if (l->count > SITES_MOST)
		l->count = SITES_MOST;
	l->sites = calloc(l->count + 1, sizeof(*l->sites));
	if (!l->sites)
		die("out of memory");
	error = l->count ? read_there(p, table, l->sites, l->count * sizeof(*l->sites)) : 0;
	if (!error)
		error = read_there(p, where->modules, modules, sizeof(modules));
	if (!error)
		error = read_there(p, where->rules, &site_rules, sizeof(site_rules));
	return error;
}

int live_sites_take(struct live_site_list *l, const struct view *v, const struct process *p)
{
	const struct live_sites *where = &v->header.sites;
	void *table;
	int error;

	*l = (struct live_site_list){0};
	if (where->site_bytes != sizeof(struct site) ||
	    where->module_bytes != sizeof(struct module) ||
	    where->rule_bytes != sizeof(struct rule))
		return EPROTO;
	error = read_there(p, where->table, &table, sizeof(table));
	if (error || !table)
		return error;
	l->on = true;
	error = copy(l, where, table, p);
	end_strings();
	adopt_all(l, where->rules);
	qsort(l->sites, l->count, sizeof(*l->sites), by_bytes);
	return error;
}

void live_sites_free(struct live_site_list *l)
{
	free(l->sites);
}

/* ---- names ---- */

static char *frame_of(const struct site *site, size_t i)
{
	const char *path = site_frame_module(site->frames[i])->path;

	return text("%s+0x%lx", *path ? path : "?",
	            (unsigned long)site_frame_offset(site->frames[i]));
}

/* The stack as rules look at it; functions are to be freed. */
static void name_frames(struct rule_frame *named, const struct site *site)
{
	for (size_t i = 0; i < site->frame_count; i++) {
		char *frame = frame_of(site, i);

		named[i] = (struct rule_frame){
			.function = text("%s", symbolize_function(frame)),
			.module = site_frame_module(site->frames[i])->name,
		};
		free(frame);
	}
}

static void free_frames(struct rule_frame *named, const struct site *site)
{
	for (size_t i = 0; i < site->frame_count; i++)
		free((char *)named[i].function);
}

/* A function of a stripped file has no name, but one further out may have. */
static char *name_of_caller(const struct rule_frame *named, const struct site *site)
{
	const struct rule_frame *caller = rules_caller(named, site->frame_count);
	size_t at = caller ? (size_t)(caller - named) : 0, outer = at;
	char *frame = frame_of(site, at), *name;

	while (outer < site->frame_count && !*named[outer].function)
		outer++;
	name = text("%s%s%s", frame_text(frame, true),
	            outer > at && outer < site->frame_count ? " from " : "",
	            outer > at && outer < site->frame_count ? named[outer].function : "");
	free(frame);
	return name;
}

/* "RULE: FUNCTION (FILE:LINE)", as far as they are known: of the innermost frame that is not the C
 * or C++ runtime's.  To be freed. */
static char *name_of(const struct site *site)
{
	struct rule_frame named[FRAMES_MOST];
	char *caller, *name;

	name_frames(named, site);
	caller = name_of_caller(named, site);
	name = site->rule ? text("%s: %s", site->rule->title, caller) : text("%s", caller);
	free_frames(named, site);
	free(caller);
	return name;
}

/* ---- what is shown of them ---- */

static void emit_site(struct emitter *e, const struct site *site)
{
	char hash[24], frames[REPORT_FRAMES_SIZE], *name = name_of(site);

	site_hex(hash, sizeof(hash), site->hash, 16);
	report_frames(frames, sizeof(frames), site);
	emitter_open_row(e);
	emitter_string(e, "site", hash, "");
	emitter_string(e, "kind", report_kinds(site), "");
	emitter_number(e, "count", site->count, "", "");
	emitter_number(e, "bytes", site->bytes, "bytes", "");
	emitter_string(e, "rule", site->rule ? site->rule->title : "-", "");
	emitter_string(e, "name", name, "");
	emitter_string(e, "frames", frames, "");
	emitter_close_row(e);
	free(name);
}

/* Not by the emitter: in its tables the name, which is long, would come first. */
static void print_site(const struct site *site)
{
	char *name = name_of(site);

	printf("%10.1fM%10lu  %-8s", (double)site->bytes / (1 << 20), (unsigned long)site->count,
	       report_kinds(site));
	printf("%.46s\n", name);
	free(name);
}

static size_t at_most(const struct live_site_list *l, size_t most)
{
	return l->count < most ? l->count : most;
}

void live_sites_emit(const struct live_site_list *l, struct emitter *e, size_t most)
{
	if (!l->on)
		return;
	emitter_open_table(e, "sites", "");
	for (size_t i = 0; i < at_most(l, most); i++)
		emit_site(e, &l->sites[i]);
	emitter_close_table(e);
}

void live_sites_print(const struct live_site_list *l, size_t most)
{
	if (!l->on)
		return;
	printf("\nCall sites, %zu of %zu, by bytes asked for\n", at_most(l, most), l->count);
	printf("%11s%10s  %-8s%s\n", "bytes", "requests", "kind", "name");
	for (size_t i = 0; i < at_most(l, most); i++)
		print_site(&l->sites[i]);
}
