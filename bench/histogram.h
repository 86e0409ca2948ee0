/*
 * histogram.h: how often what latency was seen, within 3 %, in a fixed array.
 *
 * Log-linear: each power of two is divided into 32 equal buckets; below 32 ns a bucket is 1 ns.
 * One writer; histogram_add() of several writers' histograms when they are done.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_BITS = 5,
	HISTOGRAM_SUB = 1 << HISTOGRAM_BITS,
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) * HISTOGRAM_SUB,
};

struct histogram {
	uint64_t total;
	uint64_t max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_SUB)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
	return shift * HISTOGRAM_SUB + (unsigned)(value >> shift);
}

/* The largest value that falls into a bucket. */
static inline uint64_t histogram_bucket_end(unsigned bucket)
{
	unsigned shift;

	if (bucket < HISTOGRAM_SUB)
		return bucket;
	shift = bucket / HISTOGRAM_SUB - 1;
	return (((uint64_t)bucket - shift * HISTOGRAM_SUB + 1) << shift) - 1;
}

static inline void histogram_record(struct histogram *h, uint64_t value)
{
	h->total++;
	h->bucket[histogram_bucket(value)]++;
	if (value > h->max)
		h->max = value;
}

static inline void histogram_add(struct histogram *sum, const struct histogram *h)
{
	sum->total += h->total;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->bucket[i] += h->bucket[i];
	if (h->max > sum->max)
		sum->max = h->max;
}

/* The value that a share `quantile` (0 to 1) of the recorded ones does not exceed. */
static inline uint64_t histogram_quantile(const struct histogram *h, double quantile)
{
	uint64_t rank = (uint64_t)(quantile * (double)h->total), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > rank)
			return histogram_bucket_end(i) < h->max ? histogram_bucket_end(i) : h->max;
	}
	return h->max;
}

#endif
