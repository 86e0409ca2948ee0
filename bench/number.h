/* number.h: numbers on the command line of a benchmark. */
#ifndef BENCH_NUMBER_H
#define BENCH_NUMBER_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The number that --option was given, from min to max; else the program ends with status 2. */
static inline uint64_t parse_number(const char *option, const char *value, uint64_t min,
                                    uint64_t max)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || number < min || number > max) {
		fprintf(stderr, "%s: --%s takes a number from %" PRIu64 " to %" PRIu64 ", not %s\n",
		        program_invocation_short_name, option, min, max, value);
		exit(2);
	}
	return number;
}

#endif
