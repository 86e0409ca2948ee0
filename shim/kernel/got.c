#include "kernel/got.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/kernel.h"
#include "kernel/mapping.h"

/* What we need of an object's dynamic section. */
struct object {
	const ElfW(Sym) * symbols;
	const char *strings;
	const ElfW(Rela) * jumps, *others;
	size_t jump_bytes, other_bytes;
	uintptr_t base;
	bool sealed; /* bound at load, and its slots then made read-only */
};

/* dladdr() would look for the name of the symbol, too, in a table of thousands. */
static const struct link_map *object_of(const void *inside)
{
	struct dl_find_object found;

	return _dl_find_object((void *)inside, &found) ? NULL : found.dlfo_link_map;
}

static bool read_object(const struct link_map *map, struct object *o)
{
	o->base = map->l_addr;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			o->symbols = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_STRTAB)
			o->strings = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_JMPREL)
			o->jumps = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_PLTRELSZ)
			o->jump_bytes = d->d_un.d_val;
		else if (d->d_tag == DT_RELA)
			o->others = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_RELASZ)
			o->other_bytes = d->d_un.d_val;
		else if (d->d_tag == DT_FLAGS)
			o->sealed |= (d->d_un.d_val & DF_BIND_NOW) != 0;
		else if (d->d_tag == DT_FLAGS_1)
			o->sealed |= (d->d_un.d_val & DF_1_NOW) != 0;
	}
	return o->symbols && o->strings;
}

static void **slot_in(const struct object *o, const ElfW(Rela) * table, size_t bytes,
                      const char *symbol)
{
	for (size_t i = 0; table && i < bytes / sizeof(*table); i++) {
		const ElfW(Sym) *s = &o->symbols[ELF64_R_SYM(table[i].r_info)];

		if (ELF64_R_SYM(table[i].r_info) && !strcmp(o->strings + s->st_name, symbol))
			return (void **)(o->base + table[i].r_offset);
	}
	return NULL;
}

/* The slot that a relocation of `symbol` fills; NULL if there is none. */
static void **find_slot(const struct object *o, const char *symbol)
{
	void **slot = slot_in(o, o->jumps, o->jump_bytes, symbol);

	return slot ? slot : slot_in(o, o->others, o->other_bytes, symbol);
}

/* The pages that hold the slots; false if there is nothing to patch. */
static bool pages_of(void **const *slots, size_t count, uintptr_t *start, uintptr_t *end)
{
	*start = UINTPTR_MAX;
	*end = 0;
	for (size_t i = 0; i < count; i++) {
		uintptr_t page = (uintptr_t)slots[i] & -machine.page;

		if (slots[i] && page < *start)
			*start = page;
		if (slots[i] && page + machine.page > *end)
			*end = page + machine.page;
	}
	return *start < *end;
}

static void store(void **const *slots, struct got_patch *patches, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (slots[i]) {
			patches[i].old = *slots[i];
			*slots[i] = patches[i].replacement;
		}
}

void got_patch(const void *inside, struct got_patch *patches, size_t count)
{
	const struct link_map *map = object_of(inside);
	struct object o = {0};
	void **slots[GOT_PATCHES];
	uintptr_t start, end;

	if (!map || !read_object(map, &o) || count > GOT_PATCHES)
		return;
	for (size_t i = 0; i < count; i++)
		slots[i] = find_slot(&o, patches[i].symbol);
	if (!pages_of(slots, count, &start, &end) ||
	    raw_mprotect((void *)start, end - start, PROT_READ | PROT_WRITE))
		return;
	store(slots, patches, count);
	if (o.sealed)
		raw_mprotect((void *)start, end - start, PROT_READ);
}

bool got_same_object(const void *a, const void *b)
{
	const struct link_map *map = object_of(a);

	return map && map == object_of(b);
}
