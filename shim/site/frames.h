/*
 * frames.h: the return addresses on the calling thread's stack.
 *
 * Unwinding is libgcc's, linked in and private to us.  Since glibc 2.35 it finds an object's unwind
 * table without a lock (_dl_find_object), it allocates nothing, and it opens no file: so it works
 * wherever malloc does, be it under the loader's lock or in a signal handler.
 *
 * libunwind's unw_backtrace() is much faster, but not for a library that nobody asked for: it keeps
 * what it learned of an address when the object there is unloaded and another one takes its place,
 * and then reads wherever that leads; it takes a pipe's two descriptors to probe memory with, and
 * reads and writes them by number even after the program closed them; and it takes the loader's
 * lock.  Speed comes from stacks.h instead, which recognizes a stack that was seen before.
 */
#ifndef UNSPLIT_SITE_FRAMES_H
#define UNSPLIT_SITE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAMES_MOST = 32 };

struct frames {
	const void *pcs[FRAMES_MOST]; /* return addresses, innermost first */
	uintptr_t slots[FRAMES_MOST]; /* where on the stack each is; 0 if it cannot be told */
	size_t count;
};

/* The frames from `caller`, which is where a function now running will return to, outward: at most
 * `most`, at least that one.  Ends early at a frame that no loaded object has unwind information
 * for (code made at run time).  Thread-safe; async-signal-safe as
 * malloc is, because the first time in a thread libc's pthread_getattr_np() allocates. */
void frames_find(struct frames *frames, const void *caller, size_t most);

/* The addresses [low, high) of the stack that the kernel or libc made for this thread: what is
 * there and above the stack pointer can be read.  Both are 0 as long as frames_find() was not asked
 * for more than one frame in this thread.  A thread may run on another stack (sigaltstack,
 * coroutines), of which nothing is known. */
struct stack_bounds {
	uintptr_t low, high;
};
extern __thread struct stack_bounds stack_bounds __attribute__((tls_model("initial-exec")));

#endif
