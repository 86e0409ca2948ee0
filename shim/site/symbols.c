/*
 * symbols.c: a reader of ELF symbol tables, over files mapped read-only.
 */
#include "site/symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h> /* PROT_*, MAP_*: no call is made from here */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "kernel/mapping.h"
#include "kernel/say.h"
#include "pmd/atomic.h"
#include "pmd/meta.h"
#include "site/hash.h"
#include "table.h"

/* The functions of one module, by address. */
struct symbols {
	const ElfW(Sym) * all;
	const char *strings;
	size_t string_bytes;
	size_t count;
	uint32_t sorted[]; /* indices into `all` */
};

static struct symbols no_symbols;

/* ---- files ---- */

struct file {
	const char *start;
	size_t bytes;
};

/* Bare system calls: open() is a cancellation point. */
static bool map_file(const char *path, struct file *f)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	long start = -EINVAL;

	if (fd < 0)
		return false;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode) &&
	    (size_t)status.st_size > sizeof(ElfW(Ehdr)))
		start = kernel_map->mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd,
		                         0);
	syscall(SYS_close, fd);
	f->start = (const char *)start;
	f->bytes = (size_t)status.st_size;
	return start > 0;
}

static void unmap_file(const struct file *f)
{
	kernel_map->munmap((void *)f->start, f->bytes);
}

static bool within(const struct file *f, uint64_t offset, uint64_t bytes)
{
	return offset <= f->bytes && bytes <= f->bytes - offset;
}

static const ElfW(Shdr) * section(const struct file *f, size_t index)
{
	const ElfW(Ehdr) *elf = (const void *)f->start;

	if (memcmp(elf->e_ident, ELFMAG, SELFMAG) || elf->e_shentsize != sizeof(ElfW(Shdr)) ||
	    index >= elf->e_shnum ||
	    !within(f, elf->e_shoff, (uint64_t)elf->e_shnum * elf->e_shentsize))
		return NULL;
	return (const ElfW(Shdr) *)(const void *)(f->start + elf->e_shoff) + index;
}

/* A symbol table of this type, with its strings; false if the file has none that is whole. */
static bool find_table(const struct file *f, unsigned type, struct symbols *s)
{
	const ElfW(Shdr) * h, *strings;

	for (size_t i = 0; (h = section(f, i)); i++) {
		if (h->sh_type != type || !(strings = section(f, h->sh_link)))
			continue;
		if (strings->sh_type != SHT_STRTAB || !strings->sh_size ||
		    !within(f, h->sh_offset, h->sh_size) ||
		    !within(f, strings->sh_offset, strings->sh_size) ||
		    f->start[strings->sh_offset + strings->sh_size - 1])
			continue;
		s->all = (const void *)(f->start + h->sh_offset);
		s->count = h->sh_size / sizeof(*s->all);
		s->strings = f->start + strings->sh_offset;
		s->string_bytes = strings->sh_size;
		return s->count > 0;
	}
	return false;
}

/* ---- by address ---- */

static bool is_function(const struct symbols *s, const ElfW(Sym) * symbol)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
	       symbol->st_name < s->string_bytes;
}

/* Where several names have one address, one must be the last, whatever order they are in. */
static bool goes_before(const struct symbols *s, uint32_t a, uint32_t b)
{
	const ElfW(Sym) *x = &s->all[a], *y = &s->all[b];

	if (x->st_value != y->st_value)
		return x->st_value < y->st_value;
	if (ELF64_ST_BIND(x->st_info) != ELF64_ST_BIND(y->st_info))
		return ELF64_ST_BIND(x->st_info) == STB_LOCAL ||
		       ELF64_ST_BIND(y->st_info) == STB_GLOBAL;
	return strcmp(s->strings + x->st_name, s->strings + y->st_name) > 0;
}

static void sift(struct symbols *s, size_t at, size_t count)
{
	uint32_t moved = s->sorted[at];

	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && goes_before(s, s->sorted[child], s->sorted[child + 1]))
			child++;
		if (!goes_before(s, moved, s->sorted[child]))
			break;
		s->sorted[at] = s->sorted[child];
	}
	s->sorted[at] = moved;
}

/* Heapsort: in place, and never slow. */
static void sort(struct symbols *s)
{
	for (size_t at = s->count / 2; at-- > 0;)
		sift(s, at, s->count);
	for (size_t count = s->count; count > 1; count--) {
		uint32_t last = s->sorted[count - 1];

		s->sorted[count - 1] = s->sorted[0];
		s->sorted[0] = last;
		sift(s, 0, count - 1);
	}
}

static struct symbols *make_index(const struct symbols *table)
{
	struct symbols *s = meta_block(sizeof(*table) + table->count * sizeof(uint32_t));

	if (!s)
		return NULL;
	*s = *table;
	s->count = 0;
	for (size_t i = 0; i < table->count; i++)
		if (is_function(table, &table->all[i]))
			s->sorted[s->count++] = (uint32_t)i;
	sort(s);
	return s;
}

static const char *name_at(const struct symbols *s, uint64_t offset)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->all[s->sorted[middle]].st_value <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return "";
	const ElfW(Sym) *found = &s->all[s->sorted[low - 1]];
	return offset < found->st_value + (found->st_size ? found->st_size : 1)
	               ? s->strings + found->st_name
	               : "";
}

/* ---- a module's table ---- */

static uint64_t identity_of(const struct file *f)
{
	const unsigned char *id;
	size_t bytes = build_id_on_disk(f->start, f->bytes, &id);

	return bytes ? build_id_hash(id, bytes) : 0;
}

/* Debian's debug packages put it there; the path is the build-id in hexadecimal digits. */
static bool map_debug_file(const struct file *of, struct file *f)
{
	static const char digits[] = "0123456789abcdef";
	char path[128] = "/usr/lib/debug/.build-id/";
	char *to = path + strlen(path);
	const unsigned char *id;
	size_t bytes = build_id_on_disk(of->start, of->bytes, &id);

	if (bytes < 2 || bytes > 32)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		*to++ = digits[id[i] >> 4];
		*to++ = digits[id[i] & 15];
		if (i == 0)
			*to++ = '/';
	}
	memcpy(to, ".debug", sizeof(".debug"));
	return map_file(path, f);
}

static struct symbols *read_debug_file(const struct file *of)
{
	struct symbols table = {0}, *s = NULL;
	struct file f;

	if (!map_debug_file(of, &f))
		return NULL;
	if (identity_of(&f) == identity_of(of) && find_table(&f, SHT_SYMTAB, &table))
		s = make_index(&table);
	if (!s)
		unmap_file(&f);
	return s;
}

/* Of a file that may have been replaced since it was loaded: then its identity is another. */
static struct symbols *read_file(const char *path, uint64_t id)
{
	struct symbols table = {0}, *s = NULL;
	struct file f;

	if (!map_file(path, &f))
		return NULL;
	uint64_t found = identity_of(&f);
	if (!found || found == id) {
		if (find_table(&f, SHT_SYMTAB, &table))
			s = make_index(&table);
		else if (!(s = read_debug_file(&f)) && find_table(&f, SHT_DYNSYM, &table))
			s = make_index(&table);
	}
	if (!s || s->strings < f.start || s->strings >= f.start + f.bytes)
		unmap_file(&f);
	return s;
}

/* Two threads may read the same table; the second one's is kept mapped for nothing. */
static const struct symbols *symbols_of(const struct place *place)
{
	struct symbols **of = &place->module->symbols;
	struct symbols *none = NULL, *s = at_acquire(of);

	if (s)
		return s;
	s = read_file(place->path, place->module->id);
	if (!s)
		s = &no_symbols;
	return at_cas(of, &none, s) ? s : none;
}

/* ---- names that are not what the table says ---- */

static char *(*demangle)(const char *name, char *buf, size_t *size, int *status);

/* Demangled names, and names without the version that a debug file adds, each once: a table of
 * words, 32 bits of hash above 32 of where it is in the text.  Only ever added to. */
enum { TEXT_BYTES = 8 << 20, NAMES = 1 << 16, LONGEST = 1024 };

static struct {
	char *text;
	size_t used;
	uint64_t names[NAMES];
} made TABLE;

int symbols_init(void)
{
	if (!made.text) {
		made.text = meta_block(TEXT_BYTES);
		if (!made.text)
			return ENOMEM;
		made.used = 1; /* 0 is no name's place */
	}
	if (!demangle)
		*(void **)&demangle = dlsym(RTLD_DEFAULT, "__cxa_demangle");
	return 0;
}

static const char *keep_text(const char *text, size_t length, uint64_t *slot, uint64_t tag)
{
	uint64_t empty = 0;

	if (at_get(&made.used) + length + 1 > TEXT_BYTES)
		return NULL;
	size_t at = at_add(&made.used, length + 1);
	if (at + length + 1 > TEXT_BYTES)
		return NULL;
	memcpy(made.text + at, text, length);
	at_cas(slot, &empty, tag << 32 | at);
	return made.text + at;
}

static const char *keep_demangled(const char *name, uint64_t *slot, uint64_t tag)
{
	int status = 0;
	char *text = demangle(name, NULL, NULL, &status);
	const char *kept =
		text && !status ? keep_text(text, strnlen(text, LONGEST), slot, tag) : NULL;

	free(text);
	return kept;
}

static bool is_mangled(const char *name)
{
	return demangle && name[0] == '_' && name[1] == 'Z';
}

static const char *keep_better(const char *name, uint64_t *slot, uint64_t tag)
{
	const char *kept = is_mangled(name) ? keep_demangled(name, slot, tag)
	                                    : keep_text(name, strcspn(name, "@"), slot, tag);

	return kept ? kept : name;
}

/* By its address: a name of a mapped table stays where it is. */
static const char *better_name(const char *name)
{
	uint64_t hash = hash_add(0, (uintptr_t)name), tag = hash >> 32;

	for (size_t probe = 0; probe < 8; probe++) {
		uint64_t *slot = &made.names[(hash + probe) % NAMES];
		uint64_t word = at_acquire(slot);

		if (!word)
			return keep_better(name, slot, tag);
		if (word >> 32 == tag)
			return made.text + (uint32_t)word;
	}
	return name;
}

const char *symbol_of(const struct place *place)
{
	const char *name;

	if (place->module == &modules[0] || !place->offset)
		return "";
	name = name_at(symbols_of(place), place->offset - 1);
	return is_mangled(name) || strchr(name, '@') ? better_name(name) : name;
}
