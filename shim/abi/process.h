/* process.h: what the constructor does for abi/process.c, abi/exit.c and abi/dlopen.c. */
#ifndef UNSPLIT_ABI_PROCESS_H
#define UNSPLIT_ABI_PROCESS_H

/* Look up the functions that ours stand before, and apply the option process_thp.  Once the heap is
 * ready: dlsym may allocate. */
void process_constructor(void);

/* The same for abi/exit.c and abi/dlopen.c. */
void exit_constructor(void);
void dlopen_constructor(void);

#endif
