/*
 * wrapup.h: what a process leaves behind: its report, and what was learned of its sites.
 *
 * Both are written when the process ends by itself.  What ends it from outside asks nobody, so with
 * the options `learn` and `report_every` the keeper also writes them while it runs.
 */
#ifndef UNSPLIT_HEAP_WRAPUP_H
#define UNSPLIT_HEAP_WRAPUP_H

/* From the constructor, and in a forked child. */
void wrapup_init(void);
void wrapup_after_fork(void);

/* The end, by exit(): write all. */
void wrapup(void);
/* The end by _exit() or quick_exit(), perhaps in a signal handler or in a child of vfork(): write
 * what goes to a file.  Nothing if this thread was interrupted inside the heap, or is not the
 * process that it believes to be. */
void wrapup_at_once(void);

#endif
