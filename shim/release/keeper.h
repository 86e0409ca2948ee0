/*
 * keeper.h: the thread that gives back and heals while the program is idle.
 *
 * It runs only while there is something to wait for (option `background`), blocks all signals, has
 * a small stack, holds no lock in the kernel, and is gone in a forked child until needed there.
 */
#ifndef UNSPLIT_RELEASE_KEEPER_H
#define UNSPLIT_RELEASE_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

/* Start it unless it runs.  Creates a thread, and so allocates: to be called with no lock held and
 * outside of any call of the heap.  If the kernel refuses a thread, callers go on doing the work.
 */
void keeper_start(void);
bool keeper_running(void);
/* Whether it may be started: not with background:off, nor after the kernel refused a thread. */
bool keeper_possible(void);
/* Something for it to do beside, outside of the heap: it returns how long to wait (ns) before the
 * next time.  Set once, before it is started; in a forked child it is started again for it. */
void keeper_set_duty(uint64_t (*duty)(void));
bool keeper_has_duty(void);
void keeper_after_fork(void);

#endif
