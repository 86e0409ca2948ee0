/*
 * support.h: what the preload tests share.
 *
 * These tests run as ordinary programs under LD_PRELOAD and speak only the C and C++ interfaces
 * that any program uses, so nothing of the shim is linked or included here: what they learn about
 * memory they ask of /proc.
 */
#ifndef UNSPLIT_TESTS_SUPPORT_H
#define UNSPLIT_TESTS_SUPPORT_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace support
{

constexpr size_t KiB = 1024;
constexpr size_t MiB = 1024 * KiB;
constexpr size_t GiB = 1024 * MiB;

/* Hide a value from the optimiser: an allocation nobody reads still happens, and an impossible
 * size is not diagnosed at compile time. */
template <typename T> inline T hidden(T value)
{
	asm volatile("" : "+r"(value) : : "memory");
	return value;
}

/* True if the tests run without the shim, to show that the expectations are those of a real
 * malloc (UNSPLIT_TEST_PLAIN=1). */
bool plain();
/* True if the preloaded library is in this process. */
bool shim_loaded();

/* Bytes of a field of /proc/self/smaps_rollup such as "AnonHugePages". */
size_t rollup(const char *field);
/* Bytes of this process that are resident. */
size_t rss();
/* A counter of /proc/vmstat.  It counts every process of the machine. */
uint64_t vmstat(const char *counter);
/* Huge pages that were left partially mapped (K1), since boot: thp_deferred_split_page.  Older
 * kernels, such as 6.1, queue every huge page that is split, and take it off the queue once it is;
 * there, what is split does not count.  It may become less, if the kernel splits what it queued. */
int64_t partial_splits();
/* Whether a unit that had a page table faults in huge again once all of it was given back: newer
 * kernels drop the empty page table, others keep it until the addresses are unmapped (K2). */
bool drops_page_tables();
/* What the first line of a file says; "" if it cannot be read. */
std::string first_line(const std::string &path);
/* The value of an environment variable that the test needs; ends the test program without it. */
std::string needed_env(const char *name);

/* Write, and later check, `size` bytes that depend on `seed` and on their position. */
void fill(void *block, size_t size, unsigned seed);
bool filled(const void *block, size_t size, unsigned seed);

inline bool aligned(const void *block, size_t alignment)
{
	return reinterpret_cast<uintptr_t>(block) % alignment == 0;
}

/* A small, fast, seeded generator (xorshift64). */
class Random
{
      public:
	explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1)
	{
	}

	uint64_t next()
	{
		state_ ^= state_ << 13;
		state_ ^= state_ >> 7;
		state_ ^= state_ << 17;
		return state_;
	}

	/* From 0 to limit - 1. */
	uint64_t below(uint64_t limit)
	{
		return next() % limit;
	}

	/* From 1 to 2^bits: each power of two as likely as any other. */
	size_t size(unsigned bits)
	{
		return 1 + below(size_t{1} << below(bits + 1));
	}

      private:
	uint64_t state_;
};

} // namespace support

#endif
