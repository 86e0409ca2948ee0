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

static bool find_object(const void *inside, struct object *o)
{
	struct link_map *map = NULL;
	Dl_info info;

	if (!dladdr1(inside, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return false;
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

/* The slot that a relocation of `symbol` fills; NULL if there is none in the table. */
static void **find_slot(const struct object *o, const ElfW(Rela) * table, size_t bytes,
                        const char *symbol)
{
	for (size_t i = 0; table && i < bytes / sizeof(*table); i++) {
		const ElfW(Sym) *s = &o->symbols[ELF64_R_SYM(table[i].r_info)];

		if (ELF64_R_SYM(table[i].r_info) && !strcmp(o->strings + s->st_name, symbol))
			return (void **)(o->base + table[i].r_offset);
	}
	return NULL;
}

static bool store(const struct object *o, void **slot, void *value)
{
	void *page = (void *)((uintptr_t)slot & ~(machine.page - 1));

	if (raw_mprotect(page, machine.page, PROT_READ | PROT_WRITE))
		return false;
	*slot = value;
	if (o->sealed)
		raw_mprotect(page, machine.page, PROT_READ);
	return true;
}

void *got_patch(const void *inside, const char *symbol, void *replacement)
{
	struct object o = {0};

	if (!find_object(inside, &o))
		return NULL;
	void **slot = find_slot(&o, o.jumps, o.jump_bytes, symbol);
	if (!slot)
		slot = find_slot(&o, o.others, o.other_bytes, symbol);
	void *old = slot ? *slot : NULL;
	return slot && store(&o, slot, replacement) ? old : NULL;
}

bool got_same_object(const void *a, const void *b)
{
	Dl_info x, y;

	return dladdr(a, &x) && dladdr(b, &y) && x.dli_fbase == y.dli_fbase;
}
