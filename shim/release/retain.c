#include "release/retain.h"

#include <string.h>

#include "pmd/demand.h"

enum { SLOTS = 8 };

static struct {
	uint64_t peak[SLOTS]; /* the most units held in each of the last slices of time */
	unsigned slot;
	uint64_t end; /* of the current slice, ns */
} window;

void retain_reset(void)
{
	memset(&window, 0, sizeof(window));
}

static void note(uint64_t peak)
{
	if (window.peak[window.slot] < peak)
		window.peak[window.slot] = peak;
}

void retain_advance(uint64_t now, uint64_t delay)
{
	/* The current slot is not full yet: the others must span the delay. */
	uint64_t slice = delay / (SLOTS - 1) + 1, peak = demand_peak();
	unsigned closed = 0;

	if (!window.end || window.end > now + slice)
		window.end = now + slice;
	/* The peak may have been at any time since the last call. */
	for (; now >= window.end && closed < SLOTS; closed++) {
		note(peak);
		window.slot = (window.slot + 1) % SLOTS;
		window.peak[window.slot] = 0;
		window.end += slice;
	}
	if (now >= window.end)
		window.end = now + slice;
	note(peak);
}

size_t retain_want(void)
{
	uint64_t now = demand_now(), peak = at_get(&demand.peak);

	for (unsigned i = 0; i < SLOTS; i++)
		if (window.peak[i] > peak)
			peak = window.peak[i];
	return peak > now ? peak - now : 0;
}
