#include "kernel/fence.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long membarrier(int command)
{
	int saved_errno = errno;
	long result = syscall(SYS_membarrier, command, 0, 0);

	errno = saved_errno;
	return result;
}

void kernel_fence_register(void)
{
	membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

void kernel_fence_all_threads(void)
{
	if (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return;
	struct timespec millisecond = {.tv_nsec = 1000000};
	int saved_errno = errno;
	nanosleep(&millisecond, NULL);
	errno = saved_errno;
}

bool kernel_is_main_thread(void)
{
	return getpid() == gettid();
}
