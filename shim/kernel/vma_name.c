#include "kernel/vma_name.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 11. */
#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* The kernel's rule: printable ASCII, and nothing that a shell script over maps may stumble on. */
static bool allowed(char c)
{
	return c >= ' ' && c <= '~' && !strchr("\\`$[]", c);
}

void vma_name_text(char text[VMA_NAME], const char *name)
{
	static const char ours[] = "unsplit ";
	size_t n = sizeof(ours) - 1;

	memcpy(text, ours, n);
	for (; *name && n < VMA_NAME - 1; name++)
		text[n++] = allowed(*name) ? *name : '_';
	text[n] = 0;
}

/* The bare system call: prctl() is a name of ours (abi/process.c). */
void vma_name(void *addr, size_t bytes, const char *name)
{
	static bool refused;
	char text[VMA_NAME];
	int saved_errno = errno;

	if (__atomic_load_n(&refused, __ATOMIC_RELAXED))
		return;
	vma_name_text(text, name);
	if (syscall(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, bytes, text) &&
	    errno == EINVAL)
		__atomic_store_n(&refused, true, __ATOMIC_RELAXED);
	errno = saved_errno;
}
