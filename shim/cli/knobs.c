/* knobs.c: the checks of `unsplit doctor` for the knobs that decide less: what each of them means
 * for a program that is preloaded. */
#include "cli/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/lines.h"
#include "kernel/sysfs.h"

struct check check_khugepaged_limits(const struct host *h)
{
	uint64_t shared, swapped, wait;

	if (!sysfs_number(host_path(h, SYSFS_THP "khugepaged/max_ptes_shared"), &shared) ||
	    !sysfs_number(host_path(h, SYSFS_THP "khugepaged/max_ptes_swap"), &swapped) ||
	    !sysfs_number(host_path(h, SYSFS_THP "khugepaged/alloc_sleep_millisecs"), &wait))
		return found_nothing();
	return found_ok(
		text("khugepaged leaves a unit alone if a fork shares more than %lu of its pages, "
	             "or more than %lu are swapped out, and waits %lu ms after a failure; what a "
	             "fork broke we heal ourselves",
	             (unsigned long)shared, (unsigned long)swapped, (unsigned long)wait));
}

/* ---- other sizes ---- */

/* "64 kB (always)", for each size that programs may get beside the one that we ask for. */
struct sizes {
	char *list; /* "" : none */
	unsigned known;
};

static void add_size(const struct host *h, struct sizes *s, uint64_t kilobytes)
{
	const char *knob = text(SYSFS_THP "hugepages-%lukB/enabled", (unsigned long)kilobytes);
	char mode[32];

	if (kilobytes * 1024 == h->unit || !sysfs_choice(host_path(h, knob), mode, sizeof(mode)))
		return;
	s->known++;
	if (strcmp(mode, "never") != 0)
		s->list = text("%s%s%lu kB (%s)", s->list, *s->list ? ", " : "",
		               (unsigned long)kilobytes, mode);
}

/* The directory hands them out in no order; the kernel's sizes are powers of two. */
static void find_sizes(const struct host *h, struct sizes *s)
{
	for (uint64_t kilobytes = 8; kilobytes <= 1 << 20; kilobytes *= 2)
		add_size(h, s, kilobytes);
}

struct check check_other_sizes(const struct host *h)
{
	struct sizes s = {text("%s", ""), 0};

	find_sizes(h, &s);
	if (!s.known)
		return found_nothing();
	if (!*s.list)
		return found_ok("no other sizes of huge pages (mTHP) are given: what is not huge "
		                "is on base pages");
	return found_ok(text("other sizes of huge pages (mTHP) are given too: %s; where a page "
	                     "fault finds no huge page it may get one of these, and we count the "
	                     "unit as broken",
	                     s.list));
}

/* ---- shared memory, zero page, under-used pages ---- */

static const char *meaning_for_shared(const char *mode)
{
	if (strcmp(mode, "advise") == 0)
		return "shared mappings are huge where they are advised, and we advise them";
	if (strcmp(mode, "always") == 0 || strcmp(mode, "force") == 0)
		return "all shared mappings may be huge";
	if (strcmp(mode, "within_size") == 0)
		return "shared mappings are huge as far as they are filled";
	return "shared mappings stay on base pages; the heap is private, and not concerned";
}

/* As with private memory, the knob of the size may pass the question on. */
struct check check_shared(const struct host *h)
{
	const char *knob =
		text(SYSFS_THP "hugepages-%lukB/shmem_enabled", (unsigned long)h->unit / 1024);
	char mode[32];

	if (!sysfs_choice(host_path(h, knob), mode, sizeof(mode)) || strcmp(mode, "inherit") == 0)
		knob = SYSFS_THP "shmem_enabled";
	if (!sysfs_choice(host_path(h, knob), mode, sizeof(mode)))
		return found_nothing();
	return found_ok(
		text("%s is \"%s\": %s", strrchr(knob, '/') + 1, mode, meaning_for_shared(mode)));
}

struct check check_zero_page(const struct host *h)
{
	uint64_t used;

	if (!sysfs_number(host_path(h, SYSFS_THP "use_zero_page"), &used))
		return found_nothing();
	if (used)
		return found_ok("use_zero_page is 1: memory that is only read takes no huge page "
		                "yet");
	return found_warning("use_zero_page is 0: memory that is only read takes a whole huge page",
	                     write_knob("1", SYSFS_THP "use_zero_page"));
}

/* It never fires while khugepaged may fill holes without a limit (K9). */
struct check check_underused(const struct host *h)
{
	uint64_t all = h->unit / (uint64_t)sysconf(_SC_PAGESIZE), on, holes = 0;

	if (!sysfs_number(host_path(h, SYSFS_THP "shrink_underused"), &on))
		return found_nothing();
	sysfs_number(host_path(h, SYSFS_THP "khugepaged/max_ptes_none"), &holes);
	if (!on)
		return found_ok("shrink_underused is 0: the kernel never splits huge pages that "
		                "hold mostly zeros");
	if (holes + 1 >= all)
		return found_ok(text("shrink_underused is 1, but does nothing while "
		                     "khugepaged/max_ptes_none is %lu",
		                     (unsigned long)holes));
	return found_ok(text("shrink_underused is 1: under pressure the kernel splits huge pages "
	                     "with more than %lu pages of zeros",
	                     (unsigned long)holes));
}

/* ---- what memory is made of ---- */

/* Blocks of the size that the kernel keeps together, by what may be in them. */
struct block_types {
	uint64_t all, movable;
	unsigned movable_column;
	bool in_table;
};

/* "Number of blocks type     Unmovable      Movable  Reclaimable ..." */
static void read_type_heads(struct block_types *t, char *line)
{
	char *word, *rest = line + strlen("Number of blocks type");

	t->in_table = true;
	for (unsigned i = 0; (word = strtok_r(NULL, " \n", &rest)); i++)
		if (strcmp(word, "Movable") == 0)
			t->movable_column = i;
}

/* "Node 0, zone   Normal   97   4992   31 ..." */
static void read_type_counts(struct block_types *t, char *line)
{
	char *rest = NULL, *word = strstr(line, "zone");

	if (!word)
		return;
	strtok_r(word, " ", &rest);
	strtok_r(NULL, " ", &rest); /* the zone's name */
	for (unsigned i = 0; (word = strtok_r(NULL, " \n", &rest)); i++) {
		uint64_t count = strtoull(word, NULL, 10);

		t->all += count;
		if (i == t->movable_column)
			t->movable += count;
	}
}

static void read_type_line(char *line, void *arg)
{
	struct block_types *t = arg;

	if (strncmp(line, "Number of blocks type", 21) == 0)
		read_type_heads(t, line);
	else if (t->in_table)
		read_type_counts(t, line);
}

/* Only root may read it. */
static bool read_block_types(const struct host *h, struct block_types *t)
{
	*t = (struct block_types){0};
	return !lines_each(host_path(h, "/proc/pagetypeinfo"), read_type_line, t) && t->all != 0;
}

struct check check_block_types(const struct host *h)
{
	enum { ENOUGH = 50 /* percent */ };
	struct block_types t;
	unsigned long percent;

	if (!read_block_types(h, &t))
		return found_nothing();
	percent = (unsigned long)(t.movable * 100 / t.all);
	if (percent >= ENOUGH)
		return found_ok(text("%lu %% of the memory's blocks hold what can be moved, so "
		                     "that room for huge pages can be made there (pagetypeinfo)",
		                     percent));
	return found_warning(text("only %lu %% of the memory's blocks hold what can be moved: "
	                          "elsewhere no room for huge pages can be made (pagetypeinfo)",
	                          percent),
	                     "drop caches (echo 3 | sudo tee /proc/sys/vm/drop_caches), or reboot");
}

/* ---- pressure ---- */

struct check check_pressure(const struct host *h)
{
	enum { MUCH = 5 /* percent; kernel/pressure.c */ };
	char words[256];
	double percent;

	if (sysfs_read(host_path(h, "/proc/pressure/memory"), words, sizeof(words)) <= 0)
		return found_ok("no /proc/pressure/memory: only the memory cgroup's limit tells us "
		                "that memory is short");
	if (sscanf(words, "some avg10=%lf", &percent) != 1)
		return found_nothing();
	if (percent < MUCH)
		return found_ok(text("memory is not short: tasks waited for it %.2f %% of the last "
		                     "10 s (/proc/pressure/memory)",
		                     percent));
	return found_warning(text("memory is short: tasks waited for it %.2f %% of the last 10 s "
	                          "(/proc/pressure/memory); we give back at once then",
	                          percent),
	                     "give the machine more memory, or fewer programs");
}
