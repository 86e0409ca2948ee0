/* target.c: looks into a program's file for what keeps a preloaded library out. */
#include "cli/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct {
	const char *obstacle, *remedy;
} words[] = {
	[TARGET_FITS] = {"can be preloaded into", "nothing"},
	[TARGET_STATIC] = {"is statically linked: nothing can be preloaded into it",
                           "use a dynamically linked build of it"},
	[TARGET_SET_ID] = {"is set-user-ID or set-group-ID: the loader ignores LD_PRELOAD there",
                           "start what it starts instead, or a copy without the set-ID bit"},
	[TARGET_CAPABLE] = {"has file capabilities: the loader ignores LD_PRELOAD there",
                            "start it with these capabilities from a service manager instead"},
	[TARGET_OTHER_SIZE] = {sizeof(void *) == 8 ? "is a 32-bit program: the library is 64-bit"
                                                   : "is a 64-bit program: the library is 32-bit",
                               "use the build of it that has the library's word size"},
	[TARGET_OTHER_MACHINE] = {"is built for another kind of processor",
                                  "use the build of it for this machine"},
	[TARGET_SANITIZED] = {"is built with a sanitizer, which must serve malloc itself",
                              "use a build of it without -fsanitize"},
};

const char *target_obstacle(enum target t)
{
	return words[t].obstacle;
}

const char *target_remedy(enum target t)
{
	return words[t].remedy;
}

/* 0 or why it cannot be run. */
static int runnable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno;
	if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
		return EACCES;
	return 0;
}

int target_find(const char *command, char *path, size_t size)
{
	const char *directories = getenv("PATH");
	int error = ENOENT;

	if (strchr(command, '/') || !*command) {
		snprintf(path, size, "%s", command);
		return runnable(path);
	}
	for (const char *d = directories ? directories : "/bin:/usr/bin";;) {
		int length = (int)strcspn(d, ":");

		/* An empty entry is the current directory. */
		snprintf(path, size, "%.*s/%s", length ? length : 1, length ? d : ".", command);
		/* A directory that may not be searched holds nothing for us. */
		if (access(path, F_OK) == 0) {
			error = runnable(path);
			if (!error)
				return 0;
		}
		if (!d[length])
			return error;
		d += length + 1;
	}
}

/* `bytes` at `offset`; false if the file is shorter, as what it says of itself may be wrong. */
static bool read_at(int fd, uint64_t offset, void *buf, size_t bytes)
{
	return pread(fd, buf, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* The same into memory that the caller frees; NULL if it cannot be. */
static void *read_table(int fd, uint64_t offset, uint64_t bytes)
{
	enum { LIMIT = 64 << 20 }; /* far beyond any real one */
	void *table = bytes && bytes <= LIMIT ? malloc(bytes) : NULL;

	if (table && !read_at(fd, offset, table, bytes)) {
		free(table);
		table = NULL;
	}
	return table;
}

typedef ElfW(Ehdr) elf_header;
typedef ElfW(Phdr) elf_segment;
typedef ElfW(Dyn) elf_dynamic;

/* A program's file, as far as it matters here. */
struct elf {
	int fd;
	elf_segment *segments;
	size_t segment_count;
	elf_dynamic *dynamic;
	size_t dynamic_count;
};

static const elf_segment *find_segment(const struct elf *e, uint32_t type)
{
	for (size_t i = 0; i < e->segment_count; i++)
		if (e->segments[i].p_type == type)
			return &e->segments[i];
	return NULL;
}

static bool find_dynamic(const struct elf *e, int64_t tag, uint64_t *value)
{
	for (size_t i = 0; i < e->dynamic_count; i++) {
		if (e->dynamic[i].d_tag == tag) {
			*value = e->dynamic[i].d_un.d_val;
			return true;
		}
	}
	return false;
}

static void read_elf(struct elf *e, int fd, const elf_header *header)
{
	const elf_segment *dynamic;

	*e = (struct elf){.fd = fd};
	if (header->e_phentsize != sizeof(*e->segments))
		return;
	e->segments = read_table(fd, header->e_phoff, header->e_phnum * sizeof(*e->segments));
	e->segment_count = e->segments ? header->e_phnum : 0;
	dynamic = find_segment(e, PT_DYNAMIC);
	if (!dynamic)
		return;
	e->dynamic = read_table(fd, dynamic->p_offset, dynamic->p_filesz);
	e->dynamic_count = e->dynamic ? dynamic->p_filesz / sizeof(*e->dynamic) : 0;
}

/* Where in the file an address of the loaded program comes from. */
static bool file_offset(const struct elf *e, uint64_t address, uint64_t *offset)
{
	for (size_t i = 0; i < e->segment_count; i++) {
		const elf_segment *s = &e->segments[i];

		if (s->p_type == PT_LOAD && address - s->p_vaddr < s->p_filesz) {
			*offset = address - s->p_vaddr + s->p_offset;
			return true;
		}
	}
	return false;
}

/* The dynamic loader itself names no interpreter either, but it has a name of its own. */
static bool is_static(const struct elf *e)
{
	uint64_t soname;

	return e->segment_count && !find_segment(e, PT_INTERP) &&
	       !find_dynamic(e, DT_SONAME, &soname);
}

/* The last one is what a runtime asks for that gcc linked statically. */
static bool is_sanitizer_name(const char *name)
{
	static const char *const marks[] = {"__asan_init", "__hwasan_init", "__msan_init",
	                                    "__tsan_init", "__sanitizer_malloc_hook"};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (strcmp(name, marks[i]) == 0)
			return true;
	return strncmp(name, "liblsan.so", 10) == 0; /* nothing refers to its functions */
}

/* A sanitizer shows among the dynamic names, whether its runtime is a library or (clang's way) part
 * of the program. */
static bool is_sanitized(const struct elf *e)
{
	uint64_t address, offset, size;
	bool found = false;
	char *names;

	if (!find_dynamic(e, DT_STRTAB, &address) || !find_dynamic(e, DT_STRSZ, &size) ||
	    !file_offset(e, address, &offset))
		return false;
	names = read_table(e->fd, offset, size);
	if (!names)
		return false;
	names[size - 1] = '\0';
	for (uint64_t i = 0; i < size && !found; i += strlen(names + i) + 1)
		found = is_sanitizer_name(names + i);
	free(names);
	return found;
}

/* This very program's header, which the linker provides: the machine to compare with. */
extern const elf_header __ehdr_start __attribute__((visibility("hidden")));

static enum target inspect_elf(int fd, const elf_header *header)
{
	enum target result = TARGET_FITS;
	struct elf e;

	if (header->e_machine != __ehdr_start.e_machine)
		return header->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS]
		               ? TARGET_OTHER_SIZE
		               : TARGET_OTHER_MACHINE;
	if (header->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS])
		return TARGET_OTHER_SIZE;
	read_elf(&e, fd, header);
	if (is_static(&e))
		result = TARGET_STATIC;
	else if (is_sanitized(&e))
		result = TARGET_SANITIZED;
	free(e.segments);
	free(e.dynamic);
	return result;
}

/* The loader distrusts the environment if the program gets rights that its caller lacks
 * (AT_SECURE); a set-ID bit for the caller's own user changes nothing. */
static enum target inspect_rights(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return TARGET_FITS;
	if ((st.st_mode & S_ISUID && st.st_uid != getuid()) ||
	    (st.st_mode & S_ISGID && st.st_gid != getgid()))
		return TARGET_SET_ID;
	if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return TARGET_CAPABLE;
	return TARGET_FITS;
}

/* The program that "#!..." names, or false if `head` (NUL-terminated) is no such line. */
static bool interpreter_of(char *head, char *path, size_t size)
{
	if (head[0] != '#' || head[1] != '!')
		return false;
	head += 2 + strspn(head + 2, " \t");
	head[strcspn(head, " \t\n")] = '\0';
	snprintf(path, size, "%s", head);
	return *path != '\0';
}

/* One file; for a script sets `path` to its interpreter and `again`. */
static enum target inspect_file(char *path, size_t size, bool *again)
{
	enum target result = inspect_rights(path);
	char head[256] = "";
	elf_header header;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*again = false;
	if (fd < 0 || result != TARGET_FITS)
		goto out;
	if (read_at(fd, 0, &header, sizeof(header)) && !memcmp(header.e_ident, ELFMAG, SELFMAG))
		result = inspect_elf(fd, &header);
	else if (pread(fd, head, sizeof(head) - 1, 0) > 0)
		*again = interpreter_of(head, path, size);
out:
	if (fd >= 0)
		close(fd);
	return result;
}

enum target target_inspect(const char *path)
{
	enum { DEPTH = 5 }; /* the kernel follows so many interpreters of interpreters */
	char file[PATH_MAX];
	enum target result = TARGET_FITS;
	bool again = true;

	snprintf(file, sizeof(file), "%s", path);
	for (int i = 0; again && i < DEPTH && result == TARGET_FITS; i++)
		result = inspect_file(file, sizeof(file), &again);
	return result;
}
