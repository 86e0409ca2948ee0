// Random numbers that a failing test can be run again with, and how much of them to use.
#ifndef UNSPLIT_TESTS_UNIT_RANDOM_H
#define UNSPLIT_TESTS_UNIT_RANDOM_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace test
{

// UNSPLIT_TEST_SEED, or the same number every time.
inline uint64_t seed()
{
	const char *text = std::getenv("UNSPLIT_TEST_SEED");

	return text ? std::strtoull(text, nullptr, 0) : 20240229;
}

// Put this first into a test that uses Random: a failure then prints how to repeat it.
#define TRACE_SEED() SCOPED_TRACE("UNSPLIT_TEST_SEED=" + std::to_string(test::seed()))

// splitmix64
class Random
{
      public:
	explicit Random(uint64_t stream = 0) : state(seed() + stream * 0x632be59bd9b4e019)
	{
	}
	uint64_t next()
	{
		return mix(state += 0x9e3779b97f4a7c15);
	}
	// In [0, n).
	uint64_t below(uint64_t n)
	{
		return next() % n;
	}
	uint64_t between(uint64_t least, uint64_t most)
	{
		return least + below(most - least + 1);
	}
	bool one_in(uint64_t n)
	{
		return !below(n);
	}
	// Log-uniform in [1, most]: as many between 1 and 2 as between 256 and 512.
	uint64_t spread(uint64_t most)
	{
		unsigned bits = unsigned(64 - __builtin_clzll(most));
		uint64_t n = between(1ull << below(bits), most);

		return n >> below(unsigned(64 - __builtin_clzll(n)));
	}
	static uint64_t mix(uint64_t z)
	{
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		return z ^ (z >> 31);
	}

      private:
	uint64_t state;
};

// How many operations to do where an optimised build does `n`.
inline size_t effort(size_t n)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return n / 8 + 1;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
	return n / 8 + 1;
#endif
#endif
#ifndef __OPTIMIZE__
	return n / 4 + 1;
#endif
	return n;
}

// Whether there is enough of it to expect that rare things have happened.
inline bool full_effort()
{
	return effort(1000) == 1000;
}

} // namespace test

#endif
