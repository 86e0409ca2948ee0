#include "cli/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int lines_each(const char *path, line_visitor visit, void *arg)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int error;

	if (!file)
		return errno;
	errno = 0;
	while (getline(&line, &size, file) > 0)
		visit(line, arg);
	error = ferror(file) ? errno : 0;
	free(line);
	fclose(file);
	return error;
}
