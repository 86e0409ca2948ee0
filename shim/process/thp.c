/* thp.c: who has a say about the flag, and when the kernel is told. */
#include "process/thp.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "kernel/say.h"
#include "options.h"
#include "pmd/atomic.h"

enum { UNKNOWN = -1 };

bool process_thp_armed; /* atomic; written under the lock */

/* Calls in progress that start a program.  Changed before the lock is taken, so whoever holds it
 * and sees none may tell the kernel the effect: a call that comes later waits for the lock. */
static int children;

/* A leaf: nothing is taken or called under it but the kernel.  Held with all signals blocked, since
 * exec and vfork are allowed in signal handlers. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct thp {
	uint8_t own, softened, process; /* enum thp_flag */
	bool own_known;                 /* the kernel was asked what we inherited */
	bool answered;                  /* the program set a flag: */
	uint8_t answer;                 /* this is what it hears */
	uint8_t wanted;                 /* enum plan_thp */
	int advised_error;              /* of setting THP_FLAG_ADVISED; UNKNOWN: not tried */
	pid_t owner;                    /* whose memory this is */
} thp = {.advised_error = UNKNOWN};

static sigset_t take_lock(void)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&lock);
	return before;
}

static void drop_lock(sigset_t before)
{
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static enum thp_flag stricter(enum thp_flag a, enum thp_flag b)
{
	if (a == THP_FLAG_NEVER || b == THP_FLAG_NEVER)
		return THP_FLAG_NEVER;
	return a == THP_FLAG_CLEAR ? b : a;
}

static enum thp_flag effect(void)
{
	return stricter(stricter(thp.own, thp.softened), thp.process);
}

static bool starting_children(void)
{
	return __atomic_load_n(&children, __ATOMIC_SEQ_CST) > 0;
}

/* Sequentially consistent, as is the counter: either a call that starts a program sees that there
 * is something to undo, or we see the call. */
static bool armed(void)
{
	return __atomic_load_n(&process_thp_armed, __ATOMIC_SEQ_CST);
}

/* Tell the kernel.  Under the lock. */
static int settle(void)
{
	__atomic_store_n(&process_thp_armed, effect() != thp.own, __ATOMIC_SEQ_CST);
	return kernel_thp->set(starting_children() ? thp.own : effect());
}

static void settle_again(void)
{
	sigset_t signals = take_lock();

	settle();
	drop_lock(signals);
}

/* Before the first change: what would be without us. */
static void learn_own(void)
{
	int flag;

	if (thp.own_known)
		return;
	flag = kernel_thp->get();
	thp.own = flag > 0 ? (uint8_t)flag : THP_FLAG_CLEAR;
	thp.own_known = true;
	if (!thp.owner)
		thp.owner = getpid();
}

/* Why the kernel will not set THP_FLAG_ADVISED; 0 if it will.  There is no way to ask but to set
 * it; what is right is set again by the caller.  A program that is started just then, which happens
 * once at most, may inherit it. */
static int advised_error(void)
{
	if (thp.advised_error == UNKNOWN)
		thp.advised_error = kernel_thp->set(THP_FLAG_ADVISED);
	return thp.advised_error;
}

/* ---- the user's say ---- */

static enum thp_flag flag_of(enum plan_thp wanted)
{
	if (wanted == THP_OFF)
		return THP_FLAG_NEVER;
	return wanted == THP_ADVISED ? THP_FLAG_ADVISED : THP_FLAG_CLEAR;
}

static int change_process(enum plan_thp wanted)
{
	int error = wanted == THP_ADVISED ? advised_error() : 0, refused;

	thp.wanted = wanted;
	thp.process = error ? THP_FLAG_CLEAR : flag_of(wanted);
	refused = settle();
	if (refused) {
		thp.process = THP_FLAG_CLEAR;
		settle();
	}
	return error ? error : refused;
}

static void complain(enum plan_thp wanted, int error)
{
	static bool said;

	if (at_swap(&said, true))
		return;
	if (wanted == THP_ADVISED && error == EINVAL)
		say("huge pages for advised memory only (process_thp or a rule's thp): this kernel "
		    "cannot, Linux 6.18 can; nothing is set");
	else
		say("prctl(PR_SET_THP_DISABLE), asked for by process_thp or a rule's thp, fails "
		    "(error %d); nothing is set",
		    error);
}

void process_thp_apply(enum plan_thp wanted)
{
	sigset_t signals;
	int error = 0;

	/* At start there is nothing to go back to. */
	if (wanted == THP_DEFAULT || at_get(&thp.wanted) == wanted ||
	    (wanted == THP_SYSTEM && at_get(&thp.wanted) == THP_DEFAULT))
		return;
	signals = take_lock();
	if (thp.wanted != wanted) {
		learn_own();
		error = change_process(wanted);
	}
	drop_lock(signals);
	if (error)
		complain(wanted, error);
}

_Static_assert(THP_SYSTEM + PROCESS_THP_ADVISED == THP_ADVISED &&
                       THP_SYSTEM + PROCESS_THP_OFF == THP_OFF,
               "the option's words and a rule's are in the same order");

void process_thp_start(void)
{
	process_thp_apply(THP_SYSTEM + options.process_thp);
}

/* ---- the program's say ---- */

static void adopt(enum thp_flag flag)
{
	bool ours = options.app_thp == APP_THP_IGNORE ||
	            (options.app_thp == APP_THP_SOFTEN && !thp.advised_error);

	thp.answered = true;
	thp.answer = flag;
	thp.softened = THP_FLAG_CLEAR;
	if (flag == THP_FLAG_CLEAR || !ours)
		thp.own = flag;
	else if (options.app_thp == APP_THP_SOFTEN)
		thp.softened = THP_FLAG_ADVISED;
}

static int change_own(enum thp_flag flag)
{
	int advised = flag == THP_FLAG_CLEAR ? 0 : advised_error();
	int error = flag == THP_FLAG_ADVISED ? advised : 0;
	struct thp before = thp;

	if (!error) {
		adopt(flag);
		error = settle();
	}
	if (error) {
		thp = before;
		settle();
	}
	return error;
}

int process_thp_set(enum thp_flag flag)
{
	sigset_t signals = take_lock();
	int error;

	learn_own();
	error = change_own(flag);
	drop_lock(signals);
	return error;
}

int process_thp_get(void)
{
	sigset_t signals = take_lock();
	bool known = thp.answered || process_thp_armed;
	int flag = thp.answered ? thp.answer : thp.own;

	drop_lock(signals);
	return known ? flag : kernel_thp->get();
}

/* ---- children ---- */

void process_thp_child_begin(void)
{
	__atomic_fetch_add(&children, 1, __ATOMIC_SEQ_CST);
	if (armed())
		settle_again();
}

void process_thp_child_end(void)
{
	/* None are left to count in a child that a signal handler forked from the midst of such a
	 * call. */
	if (!starting_children())
		return;
	if (__atomic_sub_fetch(&children, 1, __ATOMIC_SEQ_CST) == 0 && armed())
		settle_again();
}

/* A child that is not the owner shares the owner's memory, or has a copy of it that no fork handler
 * put in order.  It takes no lock, which might be held by a thread that it has not; and it counts
 * nothing, since it would never come back to take that off again. */
bool process_thp_exec_begin(void)
{
	if (!armed())
		return false;
	if (thp.owner == getpid()) {
		process_thp_child_begin();
		return true;
	}
	if (!starting_children())
		kernel_thp->set(thp.own);
	return false;
}

void process_thp_exec_failed(bool counted)
{
	if (counted)
		process_thp_child_end();
	else if (armed() && !starting_children())
		kernel_thp->set(effect());
}

void process_thp_after_fork(void)
{
	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	children = 0;
	if (!thp.own_known)
		return;
	thp.owner = getpid();
	if (armed())
		settle_again();
}

/* ---- for tests ---- */

static bool is_flag(unsigned flag)
{
	return flag == THP_FLAG_CLEAR || flag == THP_FLAG_NEVER || flag == THP_FLAG_ADVISED;
}

bool process_thp_consistent(void)
{
	sigset_t signals = take_lock();
	bool ok = is_flag(thp.own) && is_flag(thp.softened) && is_flag(thp.process) &&
	          is_flag(thp.answer) && children >= 0 &&
	          process_thp_armed == (effect() != thp.own) &&
	          (!process_thp_armed || (thp.own_known && thp.owner));

	drop_lock(signals);
	return ok;
}

void process_thp_reset(void)
{
	thp = (struct thp){.advised_error = UNKNOWN};
	process_thp_armed = false;
	children = 0;
}
