/* output.c: writes a file aside and renames it. */
#include "cli/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "kernel/say.h"

/* In the same directory, or rename() could not do it; hidden, and without the ending that a reader
 * of the directory may look for. */
static char *temporary_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	int directory = slash ? (int)(slash + 1 - path) : 0;

	return text("%.*s.%s.%d", directory, path, path + directory, (int)getpid());
}

bool output_open(struct output *o, const char *path)
{
	*o = (struct output){.file = stdout};
	if (!path || strcmp(path, "-") == 0)
		return true;
	o->path = path;
	o->temporary = temporary_name(path);
	o->file = fopen(o->temporary, "wxe");
	if (o->file)
		return true;
	say("%s cannot be written: %s", path, strerror(errno));
	free(o->temporary);
	return false;
}

bool output_close(struct output *o, bool good)
{
	int error = 0;

	if (!o->path)
		return true; /* main() flushes and complains */
	if (fflush(o->file) != 0 || ferror(o->file))
		error = errno;
	if (fclose(o->file) != 0 && !error)
		error = errno;
	if (good && !error && rename(o->temporary, o->path) != 0)
		error = errno;
	if (!good || error)
		unlink(o->temporary);
	if (error)
		say("%s cannot be written: %s", o->path, strerror(error));
	free(o->temporary);
	return !error;
}
