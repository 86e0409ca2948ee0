/* view.c: reads our statistics out of a process, and asks the kernel about it. */
#include "cli/view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cgroup.h"
#include "cli/symbol.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "kernel/scan.h"

/* One look, on its way. */
struct look {
	const char *what;                   /* is being read */
	struct unsplit_stats_header header; /* of the library in the process */
};

/* ---- the library in the process ---- */

static void note_library(const struct mapping *m, void *arg)
{
	uint64_t *base = arg;

	if (m->ours && !*base)
		*base = m->start;
}

/* The head has the same form in every version, so what may not be read can at least be named. */
static int check_header(struct unsplit_stats_header *h)
{
	h->head.release[sizeof(h->head.release) - 1] = '\0';
	if (memcmp(h->head.magic, LIVE_MAGIC, sizeof(h->head.magic)) != 0) {
		strcpy(h->head.release, "(unknown)");
		return EPROTO;
	}
	return h->head.version == LIVE_VERSION && h->head.bytes == sizeof(*h) ? 0 : EPROTO;
}

static int read_header(const struct process *p, uint64_t address, struct unsplit_stats_header *h)
{
	int error = process_read(p, address, &h->head, sizeof(h->head));

	if (!error)
		error = check_header(h);
	if (!error)
		error = process_read(p, address, h, sizeof(*h));
	if (error)
		return error;
	return h->stat_count == LIVE_STATS && memcmp(h->names, live_names, sizeof(live_names)) == 0
	               ? 0
	               : EPROTO;
}

/* *base becomes 0 if the library is not in the process; h->head.release is set if the error is
 * EPROTO: another version. */
static int find_header(struct look *l, struct process *p, uint64_t *base,
                       struct unsplit_stats_header *h)
{
	uint64_t address;
	int error;

	*base = 0;
	l->what = "the mappings";
	error = smaps_each(process_path(p, "maps"), note_library, base);
	if (error || !*base)
		return error;
	l->what = "the memory";
	error = symbol_find(p, *base, LIVE_SYMBOL, &address);
	if (error == ENOENT) {
		strcpy(h->head.release, "before 0.1.0");
		return EPROTO;
	}
	return error ? error : read_header(p, address, h);
}

/* ---- what lies where the header points ---- */

static uint64_t element(const struct live_array *a, uint64_t i)
{
	return (uint64_t)(uintptr_t)a->first + i / a->count * a->group_stride +
	       i % a->count * a->stride;
}

static uint64_t elements(const struct live_array *a)
{
	return a->count * a->groups;
}

/* The sum of the words of an array, each of which may be below zero for a moment. */
static int add_words(const struct process *p, const struct live_array *a, uint64_t *sum)
{
	for (uint64_t i = 0; i < elements(a); i++) {
		uint64_t word;
		int error = process_read(p, element(a, i), &word, sizeof(word));

		if (error)
			return error;
		if (word <= UINT64_MAX / 2)
			*sum += word;
	}
	return 0;
}

/* What the object itself only works out when it reports (heap/proof.c). */
static int derive(const struct process *p, const struct unsplit_stats_header *h, bool huge,
                  struct stats *s)
{
	struct live_array used = {h->units_used, sizeof(uint64_t), 1, 0, 1};
	uint64_t kept = 0, units = 0;
	int error = add_words(p, &h->small_kept, &kept);

	if (!error)
		error = add_words(p, &h->large_kept, &kept);
	if (!error)
		error = add_words(p, &used, &units);
	s->retained = kept << machine.unit_shift;
	s->huge_asked = huge ? (units + kept) << machine.unit_shift : 0;
	return error;
}

/* ---- zones ---- */

/* Part of the address space of which the kernel is asked. */
struct range {
	uint64_t start, end;
	struct view_zone *zone;
};

/* Where there is no PAGEMAP_SCAN: a zone is made of whole mappings. */
static void add_mapping(const struct mapping *m, void *arg)
{
	struct range *r = arg;

	if (m->start < r->start || m->start >= r->end)
		return;
	r->zone->resident += m->resident;
	r->zone->huge += m->anon_huge;
}

/* Regions of zones do not overlap, so what each holds can be added up. */
static int ask_kernel(struct view *v, struct process *p, struct range *r)
{
	int fd = open(process_path(p, "pagemap"), O_RDONLY | O_CLOEXEC);
	size_t broken = 0;
	struct scan scan;
	int error = fd < 0 ? errno : 0;

	if (!error)
		error = scan_open(fd, r->start, r->end - r->start, &scan, &broken);
	if (fd >= 0)
		close(fd);
	if (error) {
		v->broken_known = false;
		return smaps_each(process_path(p, "smaps"), add_mapping, r);
	}
	r->zone->resident += scan.resident;
	r->zone->huge += scan.huge;
	r->zone->broken += broken;
	return 0;
}

struct visit {
	zone_visitor call;
	void *arg;
};

static int visit_zone(struct process *p, const struct live_zone *offset, uint64_t address, int kind,
                      const struct visit *visit)
{
	uint64_t base, ready;
	bool advised;
	int error = process_read(p, address + offset->base, &base, sizeof(base));

	if (!error)
		error = process_read(p, address + offset->ready, &ready, sizeof(ready));
	if (!error)
		error = process_read(p, address + offset->huge, &advised, sizeof(advised));
	if (error || !ready)
		return error;
	return visit->call(kind, base, base + ready, advised, visit->arg);
}

/* Each group of zones is a kind, from `kind` on. */
static int visit_zones(struct process *p, const struct live_zone *offset,
                       const struct live_array *zones, int kind, const struct visit *visit)
{
	for (uint64_t i = 0; i < elements(zones); i++) {
		int error = visit_zone(p, offset, element(zones, i), kind + (int)(i / zones->count),
		                       visit);

		if (error)
			return error;
	}
	return 0;
}

int view_each_zone(const struct view *v, struct process *p, zone_visitor call, void *arg)
{
	const struct unsplit_stats_header *h = &v->header;
	struct visit visit = {call, arg};
	int error = visit_zones(p, &h->zone, &h->small_zones, VIEW_SMALL, &visit);

	return error ? error : visit_zones(p, &h->zone, &h->large_zones, VIEW_LARGE, &visit);
}

/* All zones, on their way. */
struct walk {
	struct view *view;
	struct process *process;
	bool huge; /* some zone is advised */
};

static int scan_zone(int kind, uint64_t start, uint64_t end, bool huge, void *arg)
{
	struct walk *w = arg;

	w->huge |= huge;
	return ask_kernel(w->view, w->process, &(struct range){start, end, &w->view->zones[kind]});
}

static void add_zone(struct view_zone *sum, const struct view_zone *z)
{
	sum->used += z->used;
	sum->resident += z->resident;
	sum->huge += z->huge;
	sum->broken += z->broken;
}

/* A string, which may end at the end of what is mapped. */
static int read_name(const struct process *p, uint64_t from, char name[VIEW_NAME])
{
	size_t in_page = machine.page - from % machine.page;
	size_t bytes = in_page < VIEW_NAME - 1 ? in_page : VIEW_NAME - 1;

	name[bytes] = '\0';
	return process_read(p, from, name, bytes);
}

/* What a filler's zones are called, and what they hold by its own account.  A filler without a name
 * is not in use. */
static int read_filler(const struct process *p, const struct unsplit_stats_header *h, int i,
                       struct view_zone *z)
{
	uint64_t name, pages, units;
	int error = process_read(p, element(&h->large_names, (uint64_t)i), &name, sizeof(name));

	if (error || !name)
		return error;
	error = read_name(p, name, z->name);
	if (!error)
		error = process_read(p, element(&h->large_pages, (uint64_t)i), &pages,
		                     sizeof(pages));
	if (!error)
		error = process_read(p, element(&h->large_units, (uint64_t)i), &units,
		                     sizeof(units));
	if (!error)
		z->used = (pages << machine.grain_shift) + (units << machine.unit_shift);
	return error;
}

static int read_fillers(struct view *v, const struct process *p)
{
	int error = 0;

	strcpy(v->zones[VIEW_SMALL].name, "small");
	v->zones[VIEW_SMALL].used = v->stats.small_used;
	for (int i = 0; !error && i < VIEW_ZONES - VIEW_LARGE; i++)
		error = read_filler(p, &v->header, i, &v->zones[VIEW_LARGE + i]);
	return error;
}

/* Those that have the same name, on several NUMA nodes say, are one to who looks; and all of them
 * have a sum. */
static void gather_zones(struct view *v)
{
	size_t n = 0, k;

	for (size_t i = 0; i < VIEW_ZONES; i++) {
		const struct view_zone z = v->zones[i];

		if (!*z.name)
			continue;
		add_zone(&v->all, &z);
		for (k = 0; k < n && strcmp(v->zones[k].name, z.name) != 0;)
			k++;
		if (k < n)
			add_zone(&v->zones[k], &z);
		else
			v->zones[n++] = z;
	}
	v->zone_count = n;
}

static int read_shim(struct view *v, struct process *p)
{
	const struct unsplit_stats_header *h = &v->header;
	struct walk walk = {v, p, false};
	int error = process_read(p, (uint64_t)(uintptr_t)h->stats, &v->stats, sizeof(v->stats));

	if (!error)
		error = read_fillers(v, p);
	if (!error)
		error = view_each_zone(v, p, scan_zone, &walk);
	if (!error)
		error = derive(p, h, walk.huge, &v->stats);
	gather_zones(v);
	return error;
}

/* ---- all of it ---- */

static void ask_cgroup(struct view *v, struct process *p)
{
	struct cgroup g;

	if (cgroup_open(&g, "", process_path(p, "cgroup")))
		v->charged_known = cgroup_charged(&g, &v->charged);
	cgroup_close(&g);
}

/* 0 or an errno value. */
static int look_once(struct look *l, struct view *v, struct process *p)
{
	uint64_t base;
	int error = find_header(l, p, &base, &l->header);

	*v = (struct view){.broken_known = true};
	if (error)
		return error;
	if (base) {
		memcpy(v->release, l->header.head.release, sizeof(v->release));
		v->header = l->header;
		error = read_shim(v, p);
	}
	if (error)
		return error;
	ask_cgroup(v, p);
	l->what = "smaps_rollup";
	return smaps_sum(process_path(p, "smaps_rollup"), &v->process);
}

/* A process that is just becoming another program, or whose libraries are just being mapped and
 * relocated, shows things that are half there.  That takes less than a millisecond. */
static bool is_passing(struct process *p, int error)
{
	return error && error != EACCES && error != EPERM && process_runs(p);
}

static int complain(struct process *p, const struct look *l, int error)
{
	if (error != EPROTO || !process_runs(p))
		return process_complain(p, l->what, error);
	say("process %d (%s) runs unsplit %s, whose statistics this command (%s) cannot read; use "
	    "the command that belongs to it",
	    (int)p->pid, p->command, l->header.head.release, UNSPLIT_VERSION);
	return 1;
}

int view_take(struct view *v, struct process *p)
{
	enum { LOOKS = 10, BETWEEN = 2 /* ms */ };
	struct look l;
	int error;

	for (int i = 0; i < LOOKS; i++) {
		error = look_once(&l, v, p);
		if (!is_passing(p, error))
			break;
		process_wait(p, BETWEEN);
	}
	return error ? complain(p, &l, error) : 0;
}
