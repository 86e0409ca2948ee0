/* ring.c: reads perf's ring buffers. */
#include "cli/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RECORD_MAX = 65536 };

bool ring_open(struct ring *r, int fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	*r = (struct ring){.fd = fd, .bytes = bytes, .straight = malloc(RECORD_MAX)};
	if (!r->straight) {
		errno = ENOMEM;
		return false;
	}
	r->page = mmap(NULL, page + r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return r->page != MAP_FAILED;
}

static void copy(const struct ring *r, uint64_t at, void *to, size_t bytes)
{
	const char *data = (const char *)r->page + sysconf(_SC_PAGESIZE);
	size_t offset = at & (r->bytes - 1);
	size_t first = r->bytes - offset < bytes ? r->bytes - offset : bytes;

	memcpy(to, data + offset, first);
	memcpy((char *)to + first, data, bytes - first);
}

void ring_drain(struct ring *r, void (*take)(const struct perf_event_header *record, void *arg),
                void *arg)
{
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = r->page->data_tail;

	while (tail < head) {
		struct perf_event_header header;

		copy(r, tail, &header, sizeof(header));
		if (header.size < sizeof(header))
			break;
		copy(r, tail, r->straight, header.size);
		take((const struct perf_event_header *)r->straight, arg);
		tail += header.size;
	}
	__atomic_store_n(&r->page->data_tail, head, __ATOMIC_RELEASE);
}
