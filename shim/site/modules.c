/*
 * modules.c: addresses of code to modules.
 */
#include "site/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "kernel/say.h"
#include "pmd/atomic.h"
#include "site/hash.h"
#include "table.h"

enum { EMPTY, CLAIMED, READY };

/* Of code in no object. */
#define NOWHERE 0x6e6f776865726531ul

TABLE struct module modules[MODULES_MOST];

/* ---- objects that stay ---- */

/* The loader never unloads what the program started with. */
struct range {
	uintptr_t start, end;
};

enum { LASTING_MOST = 512 };
static TABLE struct range lasting[LASTING_MOST]; /* by start */
static size_t lasting_count;
static char program_path[256];

static void insert_lasting(struct range r)
{
	size_t at = lasting_count;

	if (at == LASTING_MOST)
		return; /* then it is looked up each time */
	for (; at && lasting[at - 1].start > r.start; at--)
		lasting[at] = lasting[at - 1];
	lasting[at] = r;
	lasting_count++;
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range r = {UINTPTR_MAX, 0};

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD)
			continue;
		r.start = start < r.start ? start : r.start;
		r.end = start + p->p_memsz > r.end ? start + p->p_memsz : r.end;
	}
	if (r.start < r.end)
		insert_lasting(r);
	return 0;
}

static bool is_lasting(uintptr_t pc)
{
	size_t low = 0, high = lasting_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (pc < lasting[middle].start)
			high = middle;
		else if (pc >= lasting[middle].end)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

void modules_init(bool at_start)
{
	ssize_t length = readlink("/proc/self/exe", program_path, sizeof(program_path) - 1);

	program_path[length > 0 ? length : 0] = '\0';
	modules[0].id = NOWHERE;
	lasting_count = 0;
	if (at_start)
		dl_iterate_phdr(visit_object, NULL);
}

/* ---- identities ---- */

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* In a segment of notes: each is a header, a name and a description, padded to four bytes. */
static size_t find_build_id(const char *at, size_t bytes, const unsigned char **id)
{
	const char *end = at + bytes;

	while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *)at;
		const char *name = at + sizeof(*note);
		size_t left = (size_t)(end - name);

		if (align4(note->n_namesz) > left ||
		    align4(note->n_descsz) > left - align4(note->n_namesz))
			return 0;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    !memcmp(name, "GNU", 4)) {
			*id = (const unsigned char *)name + 4;
			return note->n_descsz;
		}
		at = name + align4(note->n_namesz) + align4(note->n_descsz);
	}
	return 0;
}

static bool is_elf(const ElfW(Ehdr) * elf)
{
	return !memcmp(elf->e_ident, ELFMAG, SELFMAG) &&
	       elf->e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
	       elf->e_phentsize == sizeof(ElfW(Phdr));
}

size_t build_id_in_memory(const void *start, uintptr_t bias, const unsigned char **id)
{
	const ElfW(Ehdr) *elf = start;
	const ElfW(Phdr) * p;
	size_t found = 0;

	if (!is_elf(elf))
		return 0;
	p = (const void *)((const char *)start + elf->e_phoff);
	for (size_t i = 0; i < elf->e_phnum && !found; i++)
		if (p[i].p_type == PT_NOTE)
			found = find_build_id((const char *)(bias + p[i].p_vaddr), p[i].p_memsz,
			                      id);
	return found;
}

size_t build_id_on_disk(const void *start, size_t bytes, const unsigned char **id)
{
	const ElfW(Ehdr) *elf = start;
	const ElfW(Phdr) * p;
	size_t found = 0;

	if (bytes < sizeof(*elf) || !is_elf(elf) || elf->e_phoff > bytes ||
	    elf->e_phnum > (bytes - elf->e_phoff) / sizeof(*p))
		return 0;
	p = (const void *)((const char *)start + elf->e_phoff);
	for (size_t i = 0; i < elf->e_phnum && !found; i++)
		if (p[i].p_type == PT_NOTE && p[i].p_offset <= bytes &&
		    p[i].p_filesz <= bytes - p[i].p_offset)
			found = find_build_id((const char *)start + p[i].p_offset, p[i].p_filesz,
			                      id);
	return found;
}

uint64_t build_id_hash(const unsigned char *id, size_t bytes)
{
	return hash_bytes(id, bytes);
}

/* The loader gives the program itself no name. */
static const char *path_of(const struct link_map *map)
{
	return map->l_name && *map->l_name ? map->l_name : program_path;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static uint64_t identity(const struct dl_find_object *o)
{
	const unsigned char *id;
	size_t bytes = build_id_in_memory(o->dlfo_map_start, o->dlfo_link_map->l_addr, &id);

	if (bytes)
		return build_id_hash(id, bytes);
	const char *name = base_name(path_of(o->dlfo_link_map));
	return hash_bytes(name, strlen(name));
}

uint64_t module_mark(const void *pc)
{
	struct dl_find_object o;

	if (is_lasting((uintptr_t)pc))
		return 0;
	return _dl_find_object((void *)pc, &o) ? NOWHERE : identity(&o);
}

/* ---- the table ---- */

/* Another thread may be about to fill the slot; it is not waited for, lest it has been stopped. */
static bool is_of(struct module *m, uint64_t id)
{
	return at_acquire(&m->state) == READY && m->id == id;
}

static bool claim(struct module *m, uint64_t id, const char *path)
{
	int empty = EMPTY;

	if (at_get(&m->state) != EMPTY || !at_cas(&m->state, &empty, CLAIMED))
		return false;
	m->id = id;
	say_into(m->name, sizeof(m->name), "%s", base_name(path));
	say_into(m->path, sizeof(m->path), "%s", path);
	at_publish(&m->state, READY);
	return true;
}

/* Two threads that come with the same module at the same time may take a slot each, which does no
 * harm: what counts is the identity. */
static struct module *find_or_add(uint64_t id, const char *path)
{
	for (size_t probe = 0; probe < MODULES_MOST - 1; probe++) {
		struct module *m = &modules[1 + (id + probe) % (MODULES_MOST - 1)];

		if (is_of(m, id) || claim(m, id, path))
			return m;
	}
	return &modules[0];
}

struct place module_place(const void *pc)
{
	struct place place = {.module = &modules[0], .path = ""};
	struct dl_find_object o;

	if (_dl_find_object((void *)pc, &o))
		return place;
	place.path = path_of(o.dlfo_link_map);
	place.module = find_or_add(identity(&o), place.path);
	if (place.module != &modules[0])
		place.offset = (uintptr_t)pc - o.dlfo_link_map->l_addr;
	return place;
}
