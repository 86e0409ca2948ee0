/*
 * ring.h: the buffer in which the kernel writes the samples of one processor, oldest first.
 */
#ifndef UNSPLIT_CLI_RING_H
#define UNSPLIT_CLI_RING_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	int fd; /* of the event that the buffer belongs to */
	struct perf_event_mmap_page *page;
	size_t bytes;   /* of the data behind the page */
	char *straight; /* a record that lies across the end, put together */
};

/* The buffer of event `fd`, of so many bytes (a power of two, and of pages).  False with errno set.
 */
bool ring_open(struct ring *r, int fd, size_t bytes);
/* Call `take` for each record in it, and forget them. */
void ring_drain(struct ring *r, void (*take)(const struct perf_event_header *record, void *arg),
                void *arg);

#endif
