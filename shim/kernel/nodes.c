#include "kernel/nodes.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/sysfs.h"

enum { BITS = 8 * sizeof(long) };

/* libnuma's; NULL until it is opened. */
static long (*numa_mbind)(void *addr, unsigned long bytes, int mode, const unsigned long *nodes,
                          unsigned long most, unsigned flags);

bool nodes_open(void)
{
	if (!numa_mbind) {
		void *library = dlopen("libnuma.so.1", RTLD_NOW | RTLD_LOCAL);

		if (library)
			*(void **)&numa_mbind = dlsym(library, "mbind");
	}
	return numa_mbind;
}

/* Of "0-1,3": the last number. */
static unsigned last_of(const char *list)
{
	const char *last = list;

	for (const char *p = list; *p; p++)
		if (*p == '-' || *p == ',')
			last = p + 1;
	return (unsigned)atoi(last);
}

unsigned nodes_count(void)
{
	static unsigned count;
	char text[256];

	if (!__atomic_load_n(&count, __ATOMIC_RELAXED)) {
		bool known =
			sysfs_read("/sys/devices/system/node/has_memory", text, sizeof(text)) > 0;
		__atomic_store_n(&count, known ? last_of(text) + 1 : 1, __ATOMIC_RELAXED);
	}
	return count < NODES_MOST ? count : NODES_MOST;
}

unsigned nodes_here(void)
{
	unsigned node = 0;
	int saved_errno = errno;

	if (getcpu(NULL, &node))
		node = 0;
	errno = saved_errno;
	return node;
}

unsigned nodes_processor(void)
{
	unsigned processor = 0;
	int saved_errno = errno;

	if (getcpu(&processor, NULL))
		processor = 0;
	errno = saved_errno;
	return processor;
}

bool nodes_kept_from(unsigned processor)
{
	cpu_set_t set; /* of 1,024; with more of them the call fails */
	int saved_errno = errno;
	bool known = processor < CPU_SETSIZE && !sched_getaffinity(0, sizeof(set), &set);

	errno = saved_errno;
	return known && !CPU_ISSET(processor, &set);
}

static int mode_of(const struct placement *where)
{
	switch (where->mode) {
	case PLACE_ON:
		return MPOL_BIND;
	case PLACE_PREFERABLY:
		return MPOL_PREFERRED;
	case PLACE_INTERLEAVED:
		return MPOL_INTERLEAVE;
	default:
		return MPOL_DEFAULT;
	}
}

int nodes_place(void *addr, size_t bytes, const struct placement *where)
{
	unsigned long nodes[NODES_MOST / BITS] = {0};
	unsigned first = where->node, last = where->node;

	if (!numa_mbind)
		return ENOSYS;
	if (where->mode == PLACE_INTERLEAVED)
		first = 0, last = nodes_count() - 1;
	if (last >= nodes_count())
		return EINVAL;
	for (unsigned node = first; node <= last; node++)
		nodes[node / BITS] |= 1ul << node % BITS;
	int saved_errno = errno;
	long failed = numa_mbind(addr, bytes, mode_of(where), nodes, NODES_MOST, 0);
	int error = failed ? errno : 0;
	errno = saved_errno;
	return error;
}

/* A bare call: libnuma is not needed to ask. */
int nodes_locate(void *const *pages, size_t count, int *nodes)
{
	int saved_errno = errno;
	long failed = syscall(SYS_move_pages, 0, count, pages, NULL, nodes, 0);
	int error = failed ? errno : 0;

	errno = saved_errno;
	return error;
}
