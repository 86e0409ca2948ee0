/* symbolize.c: asks libdw, which finds separate debug information too. */
#include "cli/symbolize.h"

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

const char *symbolize(const char *frame)
{
	static char result[512];
	const char *plus = strrchr(frame, '+'), *function, *file = NULL;
	struct module *m = plus ? find_module(frame, (size_t)(plus - frame)) : NULL;
	Dwarf_Addr address;
	Dwfl_Line *line;
	int number = 0;

	if (!m || !m->dwfl)
		return frame;
	/* A return address is behind the call, and may be in the next function already. */
	address = strtoull(plus + 1, NULL, 16) - 1 + m->bias;
	function = dwfl_module_addrname(m->dwfl, address);
	if (!function)
		return frame;
	line = dwfl_module_getsrc(m->dwfl, address);
	if (line)
		file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	if (file)
		snprintf(result, sizeof(result), "%s (%s:%d)", function, base_name(file), number);
	else
		snprintf(result, sizeof(result), "%s (%s)", function, base_name(m->path));
	return result;
}

const char *frame_text(const char *frame, bool symbols)
{
	const char *words = symbols ? symbolize(frame) : frame;

	return *words == '/' ? base_name(words) : words;
}
