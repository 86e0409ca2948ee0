/*
 * frames.c: unwinding.
 */
#include "site/frames.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <unwind.h>

#include "kernel/fence.h"

/* Frames of ours that may lie before the caller's: none is found within so many only if the caller
 * is no frame at all. */
enum { MOST_OF_OURS = 16 };

/* Nothing but the stack is mapped so close below the first thread's stack: the kernel keeps a gap
 * of 128 MiB at least. */
enum { FIRST_STACK = 8 << 20 };

/* ---- the thread's stack ---- */

__thread struct stack_bounds stack_bounds;

static void ask_libc(void)
{
	pthread_attr_t attributes;
	void *low;
	size_t bytes;

	if (pthread_getattr_np(pthread_self(), &attributes))
		return;
	if (!pthread_attr_getstack(&attributes, &low, &bytes)) {
		stack_bounds.low = (uintptr_t)low;
		stack_bounds.high = (uintptr_t)low + bytes;
	}
	pthread_attr_destroy(&attributes);
}

static void learn_bounds(void)
{
	if (stack_bounds.high)
		return;
	/* libc would read /proc/self/maps for the first thread.  The kernel puts what this points
	 * to on its stack, above all frames. */
	if (kernel_is_main_thread()) {
		stack_bounds.high = getauxval(AT_RANDOM);
		stack_bounds.low = stack_bounds.high ? stack_bounds.high - FIRST_STACK : 0;
	} else {
		ask_libc();
	}
}

/* ---- unwinding ---- */

struct walk {
	struct frames *frames;
	const void *caller;
	size_t most;
	unsigned ours;
	uintptr_t low, high;
};

/* By the ABI the call pushed it just below the stack pointer that the caller goes on with.  Where
 * that does not hold (a signal's frame, another architecture) there is something else. */
static uintptr_t slot_of(const struct walk *w, const void *pc, uintptr_t stack_pointer)
{
	uintptr_t slot = stack_pointer - sizeof(pc);

	if (slot < w->low || slot >= w->high || slot % sizeof(pc))
		return 0;
	return *(const void **)slot == pc ? slot : 0;
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *arg)
{
	struct walk *w = arg;
	struct frames *f = w->frames;
	int interrupted = 0;
	const void *pc = (const void *)_Unwind_GetIPInfo(context, &interrupted);

	if (!pc)
		return _URC_END_OF_STACK;
	if (!f->count && pc != w->caller)
		return ++w->ours < MOST_OF_OURS ? _URC_NO_REASON : _URC_END_OF_STACK;
	/* A signal may have interrupted code whose stack has no room left. */
	if (interrupted)
		w->high = 0;
	f->pcs[f->count] = pc;
	f->slots[f->count++] = slot_of(w, pc, _Unwind_GetCFA(context));
	return f->count < w->most ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void frames_find(struct frames *frames, const void *caller, size_t most)
{
	struct walk w = {.frames = frames, .caller = caller, .most = most};

	frames->count = 0;
	if (most > 1) {
		learn_bounds();
		w.low = stack_bounds.low;
		w.high = stack_bounds.high;
		_Unwind_Backtrace(visit, &w);
	}
	if (!frames->count) {
		frames->pcs[0] = caller;
		frames->slots[0] = 0;
		frames->count = 1;
	}
}
