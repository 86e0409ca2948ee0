#include "kernel/thp_flag.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bare system calls: prctl() is a name of ours (abi/process.c), which comes here. */

static int linux_set(enum thp_flag flag)
{
	int saved_errno = errno, error = 0;

	if (syscall(SYS_prctl, PR_SET_THP_DISABLE, (long)(flag != THP_FLAG_CLEAR),
	            (long)flag & PR_THP_DISABLE_EXCEPT_ADVISED, 0L, 0L))
		error = errno;
	errno = saved_errno;
	return error;
}

static int linux_get(void)
{
	int saved_errno = errno;
	long flag = syscall(SYS_prctl, PR_GET_THP_DISABLE, 0L, 0L, 0L, 0L);

	if (flag < 0)
		flag = -errno;
	errno = saved_errno;
	return (int)flag;
}

const struct kernel_thp kernel_thp_linux = {
	.set = linux_set,
	.get = linux_get,
};

const struct kernel_thp *kernel_thp = &kernel_thp_linux;
