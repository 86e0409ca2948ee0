/* space.c: the files that are mapped in traced processes. */
#include "cli/space.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "kernel/say.h"

/* A file with code in it. */
struct file {
	uint64_t base; /* where its address 0 would be */
	char *path;
	struct file *next;
};

struct space {
	uint32_t pid;
	struct file *files;
	Dwfl *session; /* NULL: to be made */
	struct space *next;
};

static void *allocate(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		die("out of memory");
	return p;
}

struct space *space_of(struct space **all, uint32_t pid)
{
	struct space *s = *all;

	while (s && s->pid != pid)
		s = s->next;
	if (s)
		return s;
	s = allocate(sizeof(*s));
	s->pid = pid;
	s->next = *all;
	*all = s;
	return s;
}

static void end_session(struct space *s)
{
	if (s->session)
		dwfl_end(s->session);
	s->session = NULL;
}

void space_clear(struct space *s)
{
	struct file *f;

	end_session(s);
	while ((f = s->files)) {
		s->files = f->next;
		free(f->path);
		free(f);
	}
}

/* A file is known by its first mapping; the others lie as far from each other as in the file. */
static bool is_known(const struct space *s, uint64_t base, const char *path)
{
	for (const struct file *f = s->files; f; f = f->next)
		if (f->base == base && strcmp(f->path, path) == 0)
			return true;
	return false;
}

void space_map(struct space *s, uint64_t address, uint64_t offset, const char *path)
{
	uint64_t base = address - offset;
	struct file *f;

	if (*path != '/' || path[1] == '/' || is_known(s, base, path))
		return; /* "[vdso]" and "//anon" are no files */
	f = allocate(sizeof(*f));
	f->base = base;
	f->path = text("%s", path);
	f->next = s->files;
	s->files = f;
	end_session(s);
}

void space_copy(struct space *to, const struct space *from)
{
	space_clear(to);
	for (const struct file *f = from->files; f; f = f->next)
		space_map(to, f->base, 0, f->path);
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

Dwfl *space_session(struct space *s)
{
	if (s->session || !s->files)
		return s->session;
	s->session = dwfl_begin(&callbacks);
	if (!s->session)
		return NULL;
	dwfl_report_begin(s->session);
	for (const struct file *f = s->files; f; f = f->next)
		dwfl_report_elf(s->session, f->path, f->path, -1, f->base, false);
	dwfl_report_end(s->session, NULL, NULL);
	return s->session;
}
