#include "report.h"

#include <inttypes.h>
#include <stdio.h>

void report_open(const char *phase, double seconds, uint64_t live, const struct probe *old,
                 const struct probe *now)
{
	printf("{\"phase\": \"%s\", \"seconds\": %.4f, \"live\": %" PRIu64 ", \"rss\": %" PRIu64
	       ", \"anonymous\": %" PRIu64 ", \"huge\": %" PRIu64 ", \"faults\": %" PRIu64,
	       phase, seconds, live, now->rss, now->anonymous, now->huge,
	       now->faults - old->faults);
	if (now->charged_known)
		printf(", \"charged\": %" PRIu64, now->charged);
	else
		printf(", \"charged\": null");
#define X(name) printf(", \"" #name "\": %" PRIu64, now->name - old->name);
	PROBE_EVENTS(X)
#undef X
}

void report_latency(const char *name, const struct histogram *h)
{
	printf(", \"%s\": {\"count\": %" PRIu64 ", \"p50\": %" PRIu64 ", \"p99\": %" PRIu64
	       ", \"p99.9\": %" PRIu64 ", \"p99.99\": %" PRIu64 ", \"max\": %" PRIu64 "}",
	       name, h->total, histogram_quantile(h, .5), histogram_quantile(h, .99),
	       histogram_quantile(h, .999), histogram_quantile(h, .9999), h->max);
}

void report_close(void)
{
	puts("}");
	fflush(stdout);
}
