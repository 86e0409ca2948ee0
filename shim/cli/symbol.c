/* symbol.c: looks a name up in a library's hash table, as ld.so does. */
#include "cli/symbol.h"

#include <errno.h>
#include <link.h>
#include <string.h>

#ifndef DT_GNU_HASH
#define DT_GNU_HASH 0x6ffffef5
#endif

/* Longer than any chain of names with the same hash, or table of segments, that is no mistake. */
enum { LIMIT = 4096 };

struct library {
	const struct process *p;
	uint64_t base;
	uint64_t dynamic; /* address of the dynamic section */
	uint64_t names, symbols, hash;
};

static int find_dynamic(struct library *l)
{
	ElfW(Ehdr) header;
	ElfW(Phdr) segment;
	int error = process_read(l->p, l->base, &header, sizeof(header));

	if (error)
		return error;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(segment))
		return ENOEXEC;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		error = process_read(l->p, l->base + header.e_phoff + i * sizeof(segment), &segment,
		                     sizeof(segment));
		if (error)
			return error;
		if (segment.p_type == PT_DYNAMIC) {
			l->dynamic = l->base + segment.p_vaddr;
			return 0;
		}
	}
	return ENOEXEC;
}

/* ld.so of glibc adds the base to the addresses in the dynamic section, others do not. */
static uint64_t relocated(const struct library *l, uint64_t address)
{
	return address < l->base ? l->base + address : address;
}

static int read_dynamic(struct library *l)
{
	ElfW(Dyn) entry;

	for (unsigned i = 0; i < LIMIT; i++) {
		int error =
			process_read(l->p, l->dynamic + i * sizeof(entry), &entry, sizeof(entry));

		if (error)
			return error;
		if (entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_STRTAB)
			l->names = relocated(l, entry.d_un.d_ptr);
		if (entry.d_tag == DT_SYMTAB)
			l->symbols = relocated(l, entry.d_un.d_ptr);
		if (entry.d_tag == DT_GNU_HASH)
			l->hash = relocated(l, entry.d_un.d_ptr);
	}
	return l->names && l->symbols && l->hash ? 0 : ENOEXEC;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

static bool has_name(const struct library *l, const ElfW(Sym) * symbol, const char *name)
{
	char there[64] = "";
	size_t bytes = strlen(name) + 1;

	return bytes <= sizeof(there) &&
	       process_read(l->p, l->names + symbol->st_name, there, bytes) == 0 &&
	       memcmp(there, name, bytes) == 0;
}

/* Walk the chain of the names that share a bucket; bit 0 of a hash marks the last one. */
static int walk_chain(const struct library *l, uint64_t chain, uint32_t index, const char *name,
                      uint64_t *address)
{
	uint32_t wanted = hash_of(name), hash = 0;
	ElfW(Sym) symbol;

	for (unsigned i = 0; i < LIMIT && !(hash & 1); i++, index++) {
		int error = process_read(l->p, chain + index * sizeof(hash), &hash, sizeof(hash));

		if (error)
			return error;
		if ((hash ^ wanted) >> 1)
			continue;
		error = process_read(l->p, l->symbols + index * sizeof(symbol), &symbol,
		                     sizeof(symbol));
		if (error)
			return error;
		if (symbol.st_shndx != SHN_UNDEF && has_name(l, &symbol, name)) {
			*address = l->base + symbol.st_value;
			return 0;
		}
	}
	return ENOENT;
}

static int look_up(const struct library *l, const char *name, uint64_t *address)
{
	struct {
		uint32_t buckets, first, bloom_words, bloom_shift;
	} table;
	uint64_t bucket;
	uint32_t index;
	int error = process_read(l->p, l->hash, &table, sizeof(table));

	if (error)
		return error;
	if (!table.buckets)
		return ENOENT;
	bucket = l->hash + sizeof(table) + table.bloom_words * sizeof(ElfW(Addr));
	error = process_read(l->p, bucket + hash_of(name) % table.buckets * sizeof(index), &index,
	                     sizeof(index));
	if (error)
		return error;
	if (index < table.first)
		return ENOENT;
	/* The chain's first word belongs to symbol number `first`. */
	return walk_chain(l, bucket + (table.buckets - (uint64_t)table.first) * sizeof(index),
	                  index, name, address);
}

int symbol_find(const struct process *p, uint64_t base, const char *name, uint64_t *address)
{
	struct library l = {.p = p, .base = base};
	int error = find_dynamic(&l);

	if (!error)
		error = read_dynamic(&l);
	return error ? error : look_up(&l, name, address);
}
