/*
 * fence.h: what fork() needs of the kernel: a memory barrier on all threads of the process.
 */
#ifndef UNSPLIT_KERNEL_FENCE_H
#define UNSPLIT_KERNEL_FENCE_H

#include <stdbool.h>

/* Announce the use of kernel_fence_all_threads().  Cheap while the process has one thread. */
void kernel_fence_register(void);

/* On return, every store that another thread made before has become visible here, and it will see
 * every store made here before: membarrier(PRIVATE_EXPEDITED).  Where the kernel refuses it
 * (seccomp, kernel < 4.14), waits long enough for store buffers to drain. */
void kernel_fence_all_threads(void);

/* Whether the calling thread is the process's first (after fork, the one that forked). */
bool kernel_is_main_thread(void);

#endif
