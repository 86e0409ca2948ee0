/*
 * thp.h: what this process' flag against huge pages is, and what its children inherit.
 *
 * Three have a say: the parent, whose flag we inherit; the program, which may call
 * prctl(PR_SET_THP_DISABLE) as Redis does; and the user, by the option process_thp or by a rule.
 *
 * Vocabulary
 *   own       the flag as it would be without us: inherited, or set by the program and passed on
 *   softened  what stands in for a flag that the program set (option app_thp:soften)
 *   process   what process_thp or a rule wants
 *   effect    the strictest of the three, which the kernel is told; the program, if it asks, hears
 *             what it set itself
 *
 * Children.  A program that is started from here shall have `own`, whether we are preloaded into it
 * or not: that a flag set for one process turned huge pages off in all its children has been a bug
 * of others for years.  exec hands on the flag that the address space has at that moment, and
 * libc's posix_spawn(), system() and popen() exec inside themselves where nobody can step in.  So
 * while any call that starts a program runs in some thread (a counter), the whole process has `own`
 * instead of `effect`.  What other threads fault in meanwhile may become huge, or not, as if we had
 * set nothing: where `enabled` is "madvise", a softened or advised flag makes no difference anyway.
 * That lasts as long as the exec, but for system(), where it is as long as the command.  A child of
 * vfork() runs in its parent's memory, so its parent's call of vfork() is counted, and its own exec
 * has nothing to do.  A forked child that starts no program keeps `effect`.
 *
 * Out of reach is what starts programs by bare system calls, and what wordexp() and the like start.
 * A child of clone(CLONE_VM) that calls exec leaves its parent with `own` until the next call here.
 *
 * As long as own and effect are the same, nothing is done and no system call is made.
 *
 * All functions are thread-safe and async-signal-safe and keep errno.
 */
#ifndef UNSPLIT_PROCESS_THP_H
#define UNSPLIT_PROCESS_THP_H

#include <stdbool.h>

#include "kernel/thp_flag.h"
#include "site/plan.h"

/* Whether own and effect differ. */
extern bool process_thp_armed;

/* Apply the option process_thp: from the constructor, once the options are read. */
void process_thp_start(void);

/* Make `wanted` the process' setting; THP_DEFAULT changes nothing.  Of several calls the last one
 * counts.  If the kernel cannot, that is said once and nothing is set. */
void process_thp_apply(enum plan_thp wanted);

/* PR_SET_THP_DISABLE and PR_GET_THP_DISABLE, called by the program.  0 or an errno value; an enum
 * thp_flag or a negative errno value. */
int process_thp_set(enum thp_flag flag);
int process_thp_get(void);

/* Around whatever starts a program and returns.  Both are called by the same process. */
void process_thp_child_begin(void);
void process_thp_child_end(void);

/* Before an exec, and after one that failed (`counted` is what the first returned).  For any
 * process: also for a child that shares its parent's memory. */
bool process_thp_exec_begin(void);
void process_thp_exec_failed(bool counted);

/* In a forked child: calls of other threads that were counted are none of ours. */
void process_thp_after_fork(void);

/* Invariants; for asserts and tests. */
bool process_thp_consistent(void);
/* Forget everything, as in a new process: for tests. */
void process_thp_reset(void);

#endif
