/* symbolize.c: asks libdw, which finds separate debug information too. */
#include "cli/symbolize.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* Modules stay open: reports name the same few again and again. */
struct module {
	char *path;
	Dwfl_Module *dwfl; /* NULL: the file cannot be read */
	Dwarf_Addr bias;   /* between its addresses and libdw's */
	struct module *next;
};

static struct module *modules;

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static void load(struct module *m)
{
	Dwfl *session = dwfl_begin(&callbacks);

	if (!session)
		return;
	dwfl_report_begin(session);
	m->dwfl = dwfl_report_offline(session, m->path, m->path, -1);
	dwfl_report_end(session, NULL, NULL);
	if (m->dwfl && !dwfl_module_getelf(m->dwfl, &m->bias))
		m->dwfl = NULL;
}

static struct module *find_module(const char *path, size_t length)
{
	struct module *m;

	for (m = modules; m; m = m->next)
		if (strlen(m->path) == length && memcmp(m->path, path, length) == 0)
			return m;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->path = text("%.*s", (int)length, path);
	m->next = modules;
	modules = m;
	if (*m->path == '/') /* a bare name could be anybody's file */
		load(m);
	return m;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- names ---- */

/* libstdc++'s __cxa_demangle(), which this command can do without. */
typedef char *(*demangler)(const char *name, char *buf, size_t *size, int *status);

static demangler find_demangler(void)
{
	static demangler found;
	static bool looked;
	void *library;

	if (looked)
		return found;
	looked = true;
	library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
	if (library)
		*(void **)&found = dlsym(library, "__cxa_demangle");
	return found;
}

static const char *demangled(const char *function)
{
	static char *last;
	demangler demangle = strncmp(function, "_Z", 2) == 0 ? find_demangler() : NULL;
	int status = -1;

	free(last);
	last = demangle ? demangle(function, NULL, NULL, &status) : NULL;
	return last ? last : function;
}

/* A frame, looked up. */
struct found {
	struct module *module;
	const char *function; /* NULL: not known */
	Dwarf_Addr address;
};

static struct found look_up(const char *frame)
{
	const char *plus = strrchr(frame, '+');
	struct found f = {.module = plus ? find_module(frame, (size_t)(plus - frame)) : NULL};

	if (!f.module || !f.module->dwfl)
		return f;
	/* A return address is behind the call, and may be in the next function already. */
	f.address = strtoull(plus + 1, NULL, 16) - 1 + f.module->bias;
	f.function = dwfl_module_addrname(f.module->dwfl, f.address);
	return f;
}

const char *symbolize_function(const char *frame)
{
	struct found f = look_up(frame);

	return f.function ? demangled(f.function) : "";
}

const char *symbolize(const char *frame)
{
	static char result[512];
	struct found f = look_up(frame);
	const char *file = NULL;
	Dwfl_Line *line;
	int number = 0;

	if (!f.function)
		return frame;
	line = dwfl_module_getsrc(f.module->dwfl, f.address);
	if (line)
		file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	if (file)
		snprintf(result, sizeof(result), "%s (%s:%d)", demangled(f.function),
		         base_name(file), number);
	else
		snprintf(result, sizeof(result), "%s (%s)", demangled(f.function),
		         base_name(f.module->path));
	return result;
}

const char *frame_text(const char *frame, bool symbols)
{
	const char *words = symbols ? symbolize(frame) : frame;

	return *words == '/' ? base_name(words) : words;
}
