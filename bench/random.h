/*
 * random.h: random numbers that are the same in every run (splitmix64).
 *
 * The state is one word, the seed at first; each thread has its own.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* From 0 up to, but not including, 1. */
static inline double random_unit(uint64_t *state)
{
	return (double)(random_next(state) >> 11) * 0x1p-53;
}

static inline size_t random_below(uint64_t *state, size_t n)
{
	return (size_t)(((__uint128_t)random_next(state) * n) >> 64);
}

/* Log-uniform: as many between min and 2 min as between max / 2 and max. */
static inline size_t random_size(uint64_t *state, size_t min, size_t max)
{
	return (size_t)((double)min * pow((double)max / (double)min, random_unit(state)));
}

#endif
