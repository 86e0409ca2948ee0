/*
 * modules.h: which loaded object holds a piece of code.
 *
 * Vocabulary
 *   module    an executable or shared object, known by its identity: the hash of its build-id or,
 *             where it has none, of its file's base name.  It is the same on every run and host
 *   place     an address as the module that holds it and the offset in it: what addr2line takes
 *
 * The loader is asked by _dl_find_object(), which takes no lock.  What it says of an address on the
 * stack of the calling thread stays true as long as it is there, because nobody unloads code that
 * is to be returned to.  An address in a table is different: another object may be there by now.
 * Hence module_mark(), which is to be part of whatever a table is keyed by.
 */
#ifndef UNSPLIT_SITE_MODULES_H
#define UNSPLIT_SITE_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

/* Once known, a module is never forgotten, whether it is unloaded or not. */
struct module {
	uint64_t id;
	char name[48];           /* the file's base name; "" for what is in no object */
	char path[160];          /* of the file, as far as it fits */
	struct symbols *symbols; /* read when first asked for (symbols.h) */
	int state;
};

/* The first is the one of code that is in no object (made at run time), or in one too many. */
enum { MODULES_MOST = 1024 };
extern struct module modules[MODULES_MOST];

struct place {
	struct module *module;
	uint64_t offset;  /* 0 if it is in no object */
	const char *path; /* of the file; valid as long as the object is loaded */
};

/* Learn which objects were there from the start, and so will stay, if this is the start; later,
 * nobody can tell.  Takes the loader's lock. */
void modules_init(bool at_start);

/* 0 for an address in an object that stays; for others a hash of which object is there now. */
uint64_t module_mark(const void *pc);

/* `pc` must be on the calling thread's stack.  Thread-safe, async-signal-safe. */
struct place module_place(const void *pc);

/* The build-id of an ELF file that starts at `elf`: as it is on disk, or as the loader mapped it
 * with `bias` between the addresses in it and those in memory.  Returns its length, 0 if there is
 * none. */
size_t build_id_on_disk(const void *elf, size_t bytes, const unsigned char **id);
size_t build_id_in_memory(const void *elf, uintptr_t bias, const unsigned char **id);
/* The identity that goes with it. */
uint64_t build_id_hash(const unsigned char *id, size_t bytes);

#endif
