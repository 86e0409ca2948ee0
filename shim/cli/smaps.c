/* smaps.c: reads smaps and smaps_rollup, which have the same form. */
#include "cli/smaps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lines.h"

/* "start-end perms offset device inode  path". */
static bool read_head(const char *line, struct mapping *m)
{
	unsigned long start, end;
	const char *name;

	if (sscanf(line, "%lx-%lx %*4s ", &start, &end) != 2)
		return false;
	name = strrchr(line, '/');
	*m = (struct mapping){
		.start = start,
		.end = end,
		.ours = name && strncmp(name, "/libunsplit.so", 14) == 0,
	};
	return true;
}

/* "Key:     number kB". */
static void read_field(const char *line, struct mapping *m)
{
	const struct {
		const char *key;
		uint64_t *value;
	} fields[] = {
		{"Rss:", &m->resident},
		{"Anonymous:", &m->anonymous},
		{"AnonHugePages:", &m->anon_huge},
		{"ShmemPmdMapped:", &m->shmem_huge},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t length = strlen(fields[i].key);

		if (strncmp(line, fields[i].key, length) == 0) {
			*fields[i].value = strtoull(line + length, NULL, 10) * 1024;
			return;
		}
	}
	if (strncmp(line, "THPeligible:", 12) == 0)
		m->eligible = strtoull(line + 12, NULL, 10) != 0;
}

/* The mapping that is being read, and who shall see it. */
struct reading {
	struct mapping mapping;
	mapping_visitor visit;
	void *arg;
};

static void end_mapping(struct reading *r)
{
	if (r->mapping.end)
		r->visit(&r->mapping, r->arg);
}

static void read_line(char *line, void *arg)
{
	struct reading *r = arg;
	struct mapping next;

	if (!read_head(line, &next)) {
		read_field(line, &r->mapping);
		return;
	}
	end_mapping(r);
	r->mapping = next;
}

int smaps_each(const char *path, mapping_visitor visit, void *arg)
{
	struct reading r = {.visit = visit, .arg = arg};
	int error = lines_each(path, read_line, &r);

	if (error)
		return error;
	end_mapping(&r);
	return r.mapping.end ? 0 : ENODATA;
}

static void add(const struct mapping *m, void *arg)
{
	struct mapping *sum = arg;

	if (!sum->end)
		sum->start = m->start;
	sum->end = m->end;
	sum->resident += m->resident;
	sum->anonymous += m->anonymous;
	sum->anon_huge += m->anon_huge;
	sum->shmem_huge += m->shmem_huge;
	sum->ours |= m->ours;
}

int smaps_sum(const char *path, struct mapping *sum)
{
	*sum = (struct mapping){0};
	return smaps_each(path, add, sum);
}
