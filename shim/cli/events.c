/* events.c: counts tracepoints of one process. */
#include "cli/events.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "kernel/kernel.h"
#include "kernel/say.h"
#include "kernel/sysfs.h"

static const char *const names[EVENT_KINDS] = {
	[EVENT_PAGES_LEFT] = "memcg/mod_memcg_lruvec_state", /* since 6.13 */
	[EVENT_HUGE_LEFT] = "memcg/mod_memcg_lruvec_state",
	[EVENT_COLLAPSED] = "huge_memory/mm_collapse_huge_page",
	[EVENT_ALLOCATED] = "kmem/mm_page_alloc",
};

/* ---- finding ---- */

/* Where the tracepoints are, or NULL after a line on stderr. */
static const char *find_tracefs(void)
{
	static const char *const places[] = {"/sys/kernel/tracing/events",
	                                     "/sys/kernel/debug/tracing/events"};
	bool refused = false;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (access(places[i], R_OK | X_OK) == 0)
			return places[i];
		refused |= errno == EACCES;
	}
	if (refused || geteuid() != 0)
		say("trace needs /sys/kernel/tracing, which this user may not read: be root");
	else
		say("trace needs tracefs, which is not mounted: "
		    "mount -t tracefs nodev /sys/kernel/tracing");
	return NULL;
}

/* The number of a counter among those that the memory cgroups have: their order is that of
 * /proc/vmstat from nr_inactive_anon on (K7). */
static bool find_item(const char *name, int *item)
{
	FILE *file = fopen("/proc/vmstat", "re");
	char line[256];
	bool found = false;
	int number = -1;

	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, " ")] = '\0';
		if (number >= 0 || strcmp(line, "nr_inactive_anon") == 0)
			number++;
		found = number >= 0 && strcmp(line, name) == 0;
	}
	if (file)
		fclose(file);
	*item = number;
	return found;
}

static void find_event(struct events *e, enum event_kind kind, const char *tracefs)
{
	char *path = text("%s/%s/id", tracefs, names[kind]);

	e->event[kind].present = sysfs_number(path, &e->event[kind].id);
	free(path);
}

/* Pages of a unit leave a counter all at once. */
static void filter_item(struct event *v, const char *name)
{
	int item;

	v->present = v->present && find_item(name, &item);
	if (v->present)
		say_into(v->filter, sizeof(v->filter), "item == %d && val == -%u", item,
		         (unsigned)(machine.unit / machine.page));
}

bool events_find(struct events *e)
{
	const char *tracefs = find_tracefs();

	if (!tracefs)
		return false;
	for (int i = 0; i < EVENT_KINDS; i++)
		find_event(e, (enum event_kind)i, tracefs);
	filter_item(&e->event[EVENT_PAGES_LEFT], "nr_anon_pages");
	filter_item(&e->event[EVENT_HUGE_LEFT], "nr_anon_transparent_hugepages");
	say_into(e->event[EVENT_COLLAPSED].filter, sizeof(e->event[0].filter), "status == 1");
	say_into(e->event[EVENT_ALLOCATED].filter, sizeof(e->event[0].filter), "order == %d",
	         __builtin_ctzl(machine.unit / machine.page));
	return true;
}

/* ---- opening ---- */

/* The descriptor, or -1 with errno set.  `attr` says how it is sampled, if it is. */
static int open_event(const struct event *v, pid_t pid, int processor, struct perf_event_attr attr)
{
	int fd;

	attr.type = PERF_TYPE_TRACEPOINT;
	attr.size = sizeof(attr);
	attr.config = v->id;
	attr.disabled = 1;
	attr.inherit = 1;
	attr.enable_on_exec = 1;
	fd = (int)syscall(SYS_perf_event_open, &attr, pid, processor, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, v->filter) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static struct perf_event_attr sampled(bool stacks)
{
	struct perf_event_attr attr = {
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID,
		.watermark = 1,
		.wakeup_watermark = 65536,
	};

	if (stacks)
		stacks_ask(&attr);
	return attr;
}

/* Both events of a processor write into one buffer, so that their order is kept. */
static bool open_watch(struct events *e, pid_t pid, int processor)
{
	/* Some ten thousand small samples, or some hundred stacks. */
	const size_t buffer = e->stacks ? 4 << 20 : 1 << 20;
	struct watch *w = &e->watches[e->watch_count];
	int huge = open_event(&e->event[EVENT_HUGE_LEFT], pid, processor, sampled(e->stacks));
	int pages;

	if (huge < 0)
		return errno == ENODEV; /* there are gaps in the numbers of processors */
	pages = open_event(&e->event[EVENT_PAGES_LEFT], pid, processor, sampled(false));
	if (pages < 0 || !ring_open(&w->ring, huge, buffer) ||
	    ioctl(pages, PERF_EVENT_IOC_SET_OUTPUT, huge) != 0 ||
	    ioctl(pages, PERF_EVENT_IOC_ID, &w->pages_left) != 0)
		return false;
	e->watch_count++;
	return true;
}

static bool open_watches(struct events *e, pid_t pid)
{
	int processors = (int)sysconf(_SC_NPROCESSORS_CONF);

	if (!e->event[EVENT_HUGE_LEFT].present || !e->event[EVENT_PAGES_LEFT].present)
		return true;
	e->watches = calloc((size_t)processors, sizeof(*e->watches));
	if (!e->watches)
		die("out of memory");
	for (int i = 0; i < processors; i++)
		if (!open_watch(e, pid, i))
			return false;
	e->counts.splits_known = true;
	return true;
}

static void complain(int error)
{
	char paranoid[16];

	sysfs_read("/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof(paranoid));
	paranoid[strcspn(paranoid, "\n")] = '\0';
	if (error == EACCES || error == EPERM)
		say("trace: the kernel does not let this user watch events "
		    "(perf_event_paranoid is %s, or a seccomp filter forbids it): be root",
		    paranoid);
	else if (error == ENOSYS)
		say("trace: this kernel has no perf_event_open");
	else
		say("trace: events cannot be watched: %s", strerror(error));
}

bool events_open(struct events *e, pid_t pid)
{
	bool good = open_watches(e, pid);

	for (int i = EVENT_COLLAPSED; i < EVENT_KINDS; i++) {
		e->counter[i] = -1;
		if (good && e->event[i].present) {
			e->counter[i] =
				open_event(&e->event[i], pid, -1, (struct perf_event_attr){0});
			good = e->counter[i] >= 0;
		}
	}
	if (!good)
		complain(errno);
	return good;
}

/* ---- following ---- */

/* What the kernel writes first for the sample_type asked for. */
struct sample_record {
	struct perf_event_header header;
	uint64_t id;
	uint32_t pid, tid;
};

struct lost_record {
	struct perf_event_header header;
	uint64_t id, lost;
};

/* A huge page that is freed whole leaves two records, one behind the other: both are made under the
 * same lock, so nothing comes between. */
static void take_sample(struct events *e, struct watch *w, const struct sample_record *s)
{
	if (s->id == w->pages_left) {
		w->freed_by = s->tid;
		return;
	}
	if (w->freed_by == s->tid) {
		e->counts.whole_frees++;
	} else {
		e->counts.splits++;
		if (e->stacks)
			stacks_take(e->stacks, &s->header);
	}
	w->freed_by = 0;
}

struct drain {
	struct events *events;
	struct watch *watch;
};

static void take_record(const struct perf_event_header *record, void *arg)
{
	struct drain *d = arg;

	if (record->type == PERF_RECORD_SAMPLE && record->size >= sizeof(struct sample_record))
		take_sample(d->events, d->watch, (const struct sample_record *)record);
	else if (record->type == PERF_RECORD_LOST && record->size >= sizeof(struct lost_record))
		d->events->counts.lost += ((const struct lost_record *)record)->lost;
	else if (d->events->stacks)
		stacks_take(d->events->stacks, record);
}

static void drain(struct events *e)
{
	for (int i = 0; i < e->watch_count; i++) {
		struct drain d = {e, &e->watches[i]};

		ring_drain(&e->watches[i].ring, take_record, &d);
	}
	if (e->stacks)
		stacks_work(e->stacks);
}

static bool has_ended(pid_t pid)
{
	siginfo_t ended = {.si_pid = 0};

	return waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid;
}

void events_follow(struct events *e, pid_t pid)
{
	enum { AT_LEAST_EVERY = 100 /* ms */ };
	struct pollfd *fds = calloc((size_t)e->watch_count + 1, sizeof(*fds));

	if (!fds)
		die("out of memory");
	fds[0] = (struct pollfd){(int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0};
	for (int i = 0; i < e->watch_count; i++)
		fds[i + 1] = (struct pollfd){e->watches[i].ring.fd, POLLIN, 0};
	while (!has_ended(pid)) {
		poll(fds, (nfds_t)e->watch_count + 1, AT_LEAST_EVERY);
		drain(e);
	}
	drain(e);
	close(fds[0].fd);
	free(fds);
}

static bool read_counter(const struct events *e, enum event_kind kind, uint64_t *value)
{
	int fd = e->counter[kind];

	return fd >= 0 && read(fd, value, sizeof(*value)) == sizeof(*value);
}

const struct event_counts *events_counts(struct events *e)
{
	struct event_counts *c = &e->counts;

	c->collapses_known = read_counter(e, EVENT_COLLAPSED, &c->collapses);
	c->allocations_known = read_counter(e, EVENT_ALLOCATED, &c->allocations);
	return c;
}
