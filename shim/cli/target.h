/*
 * target.h: can a library be preloaded into this program?
 */
#ifndef UNSPLIT_CLI_TARGET_H
#define UNSPLIT_CLI_TARGET_H

#include <stddef.h>

enum target {
	TARGET_FITS, /* or nothing speaks against it */
	TARGET_STATIC,
	TARGET_SET_ID,
	TARGET_CAPABLE,    /* has file capabilities */
	TARGET_OTHER_SIZE, /* 32 bits where we are 64 */
	TARGET_OTHER_MACHINE,
	TARGET_SANITIZED,
};

/* Look `command` up in PATH as execvp does.  Returns 0 or an errno value; ENOENT and EACCES are
 * ordinary. */
int target_find(const char *command, char *path, size_t size);
/* Look into the file, or for a script into its interpreter.  A file that cannot be read FITS. */
enum target target_inspect(const char *path);

/* "is statically linked: ...", to stand behind the program's name. */
const char *target_obstacle(enum target t);
/* What the user can do about it. */
const char *target_remedy(enum target t);

#endif
