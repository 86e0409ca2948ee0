/* What cannot be: impossible sizes, and what failing and freeing must leave alone. */
#include "support.h"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <malloc.h>
#include <vector>

using namespace support;

namespace
{

const std::vector<size_t> impossible = {
	size_t{PTRDIFF_MAX} + 1, SIZE_MAX,           SIZE_MAX - 1,    SIZE_MAX - 15,
	SIZE_MAX - 4095,         SIZE_MAX - 2 * MiB, size_t{1} << 62,
};

#define EXPECT_NO_MEMORY(call)                                                                     \
	do {                                                                                       \
		errno = 0;                                                                         \
		EXPECT_EQ((call), nullptr);                                                        \
		EXPECT_EQ(errno, ENOMEM);                                                          \
	} while (0)

TEST(Limits, ImpossibleSizes)
{
	for (size_t n : impossible) {
		SCOPED_TRACE(n);
		EXPECT_NO_MEMORY(malloc(hidden(n)));
		EXPECT_NO_MEMORY(calloc(1, hidden(n)));
		EXPECT_NO_MEMORY(realloc(nullptr, hidden(n)));
		EXPECT_NO_MEMORY(reallocarray(nullptr, 1, hidden(n)));
		EXPECT_NO_MEMORY(valloc(hidden(n)));
		EXPECT_NO_MEMORY(pvalloc(hidden(n)));
	}
}

/* More than the address space has, though less than PTRDIFF_MAX. */
TEST(Limits, MoreThanTheAddressSpace)
{
	EXPECT_NO_MEMORY(malloc(hidden(size_t{1} << 48)));
	EXPECT_NO_MEMORY(calloc(size_t{1} << 30, hidden(size_t{1} << 18)));
}

TEST(Limits, ImpossibleAlignedSizes)
{
	for (size_t n : impossible) {
		for (size_t alignment : {16ul, 64ul, 4096ul, 2ul << 20}) {
			void *untouched = &alignment;
			void *p = untouched;

			SCOPED_TRACE(n);
			EXPECT_EQ(posix_memalign(&p, alignment, hidden(n)), ENOMEM);
			EXPECT_EQ(p, untouched);
			EXPECT_NO_MEMORY(memalign(alignment, hidden(n)));
			EXPECT_NO_MEMORY(aligned_alloc(alignment, hidden(n)));
		}
	}
}

TEST(Limits, ImpossibleAlignments)
{
	for (size_t alignment : {size_t{1} << 48, size_t{1} << 62}) {
		void *p;

		EXPECT_EQ(posix_memalign(&p, hidden(alignment), 100), ENOMEM);
		EXPECT_NO_MEMORY(memalign(hidden(alignment), 100));
	}
}

TEST(Limits, ProductsThatOverflow)
{
	const size_t pairs[][2] = {{SIZE_MAX / 2, 3},
	                           {SIZE_MAX, SIZE_MAX},
	                           {size_t{1} << 32, size_t{1} << 32},
	                           {SIZE_MAX / 16 + 1, 16},
	                           {3, SIZE_MAX / 2}};
	void *block = malloc(100);

	fill(block, 100, 1);
	for (auto &pair : pairs) {
		EXPECT_NO_MEMORY(calloc(hidden(pair[0]), hidden(pair[1])));
		EXPECT_NO_MEMORY(reallocarray(nullptr, hidden(pair[0]), hidden(pair[1])));
		EXPECT_NO_MEMORY(reallocarray(hidden(block), hidden(pair[0]), hidden(pair[1])));
	}
	EXPECT_TRUE(filled(block, 100, 1));
	free(block);
}

TEST(Limits, FailedReallocKeepsTheBlock)
{
	for (size_t n : {size_t{1}, size_t{100}, 20 * KiB, 300 * KiB, 5 * MiB}) {
		void *p = malloc(n);

		fill(p, n, 3);
		for (size_t size : impossible)
			EXPECT_NO_MEMORY(realloc(hidden(p), hidden(size)));
		EXPECT_TRUE(filled(p, n, 3)) << n;
		EXPECT_GE(malloc_usable_size(p), n);
		free(p);
	}
}

/* A failure must not make later requests fail. */
TEST(Limits, FailureLeavesTheHeapUsable)
{
	for (int i = 0; i < 1000; i++)
		EXPECT_NO_MEMORY(malloc(hidden(SIZE_MAX / 4)));
	void *p = malloc(10 * MiB);
	ASSERT_NE(p, nullptr);
	fill(p, 10 * MiB, 1);
	free(p);
}

/* Freeing makes system calls; a program that frees on its error path still wants its errno. */
TEST(Limits, FreeKeepsErrno)
{
	for (size_t n :
	     {size_t{1}, size_t{1000}, 20 * KiB, 200 * KiB, MiB, 3 * MiB, 100 * MiB, GiB}) {
		std::vector<void *> blocks(n < MiB ? 3000 : 2);

		for (void *&p : blocks)
			p = malloc(n);
		for (void *p : blocks) {
			ASSERT_NE(p, nullptr);
			*static_cast<volatile char *>(p) = 1;
			errno = 4711;
			free(p);
			ASSERT_EQ(errno, 4711) << n;
		}
	}
	errno = 4711;
	free(hidden<void *>(nullptr));
	EXPECT_EQ(errno, 4711);
}

} // namespace
