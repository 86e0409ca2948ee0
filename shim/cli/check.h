/*
 * check.h: what `unsplit doctor` looks at, one question each.
 *
 * A check reads files below `root` ("" on a real machine; tests have trees of their own) or asks
 * the kernel about this process, and judges.  Checks print nothing.
 */
#ifndef UNSPLIT_CLI_CHECK_H
#define UNSPLIT_CLI_CHECK_H

#include <stdbool.h>
#include <stdint.h>

enum verdict {
	CHECK_SILENT, /* nothing worth a line */
	CHECK_OK,
	CHECK_WARN, /* huge pages are given, but fewer or later than they could be */
	CHECK_BAD,  /* huge pages are not given */
};

struct check {
	enum verdict verdict;
	const char *text;   /* what is the case */
	const char *remedy; /* what to change; NULL where nothing is wrong */
};

/* The machine that is looked at. */
struct host {
	const char *root;
	uint64_t unit; /* bytes of a huge page; 0 if the kernel has none */
};

/* Read what the checks share. */
void host_init(struct host *h, const char *root);

/* For who writes a check. */
struct check found_nothing(void);
struct check found_ok(const char *what);
struct check found_warning(const char *what, const char *remedy);
struct check found_bad(const char *what, const char *remedy);
/* The file that stands for this one. */
const char *host_path(const struct host *h, const char *path);
/* The command line that sets a knob. */
const char *write_knob(const char *value, const char *knob);

/* The kernel's settings, from files. */
struct check check_size(const struct host *h);
struct check check_mode(const struct host *h);
struct check check_free_blocks(const struct host *h);
struct check check_defrag(const struct host *h);
struct check check_cgroup(const struct host *h);
struct check check_overcommit(const struct host *h);
struct check check_khugepaged(const struct host *h);

/* The same, for what concerns only some programs, or tells how things stand (knobs.c). */
struct check check_khugepaged_limits(const struct host *h);
struct check check_other_sizes(const struct host *h);
struct check check_shared(const struct host *h);
struct check check_zero_page(const struct host *h);
struct check check_underused(const struct host *h);
struct check check_block_types(const struct host *h);
struct check check_pressure(const struct host *h);
/* Of each NUMA node, where there are several (host_nodes.c). */
struct check check_nodes(const struct host *h);

/* This process, as its children will inherit it. */
struct check check_process_flag(const struct host *h);
struct check check_address_space(const struct host *h);

/* What the running kernel can do beside. */
struct check check_features(const struct host *h);
/* The trial: is memory that we ask for on huge pages?  Takes some MiB: not where a limit is near.
 */
struct check check_given(const struct host *h);

/* "2 MiB", "1.5 GiB". */
const char *bytes_text(uint64_t bytes);

#endif
