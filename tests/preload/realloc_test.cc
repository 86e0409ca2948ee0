/* realloc keeps what a block holds, across every border between the ways of serving it; calloc
 * gives zeros, also of recycled memory. */
#include "support.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <malloc.h>
#include <vector>

using namespace support;

namespace
{

/* Both sides of each border at which another part of a heap may take over. */
const std::vector<size_t> borders = {
	KiB,           16 * KiB,     16 * KiB + 1, 17 * KiB,     32 * KiB, 64 * KiB,    128 * KiB,
	128 * KiB + 1, 512 * KiB,    MiB,          2 * MiB - 1,  2 * MiB,  2 * MiB + 1, 4 * MiB,
	32 * MiB,      64 * MiB - 1, 64 * MiB,     64 * MiB + 1, 70 * MiB,
};

void *resized(void *p, size_t from, size_t to, unsigned seed)
{
	void *q = realloc(p, to);

	EXPECT_NE(q, nullptr) << to;
	EXPECT_TRUE(aligned(q, 16));
	EXPECT_GE(malloc_usable_size(q), to);
	EXPECT_TRUE(filled(q, std::min(from, to), seed)) << from << " -> " << to;
	fill(q, to, seed);
	return q;
}

TEST(Realloc, UpAndDownAcrossTheBorders)
{
	size_t size = 1;
	void *p = malloc(size);

	fill(p, size, 9);
	for (size_t next : borders) {
		p = resized(p, size, next, 9);
		size = next;
	}
	for (auto next = borders.rbegin(); next != borders.rend(); ++next) {
		p = resized(p, size, *next, 9);
		size = *next;
	}
	p = resized(p, size, 1, 9);
	free(p);
}

/* As a growing string does it, with neighbours that are sometimes in the way. */
TEST(Realloc, SmallStepsWithNeighbours)
{
	std::vector<void *> neighbours;
	size_t size = 100;
	char *p = static_cast<char *>(malloc(size));

	memset(p, 'x', size);
	for (unsigned step = 0; size < 12 * MiB; step++) {
		size_t next = size + size / 10 + 37;

		p = static_cast<char *>(realloc(p, next));
		ASSERT_NE(p, nullptr);
		memset(p + size, 'x', next - size);
		size = next;
		if (step % 3 == 0)
			neighbours.push_back(malloc(step % 2 ? size : 4 * KiB));
	}
	EXPECT_EQ(std::count(p, p + size, 'x'), static_cast<ptrdiff_t>(size));
	for (void *q : neighbours)
		free(q);
	free(p);
}

struct Block {
	void *data;
	size_t size;
	unsigned seed;
};

TEST(Realloc, RandomSizesAmongManyBlocks)
{
	Random random(2);
	std::vector<Block> blocks(300, Block{nullptr, 0, 0});

	for (unsigned step = 0; step < 20000; step++) {
		Block &block = blocks[random.below(blocks.size())];
		size_t size = random.size(step % 100 ? 17 : 23);

		if (!block.data)
			block.size = 0;
		block.data = realloc(block.data, size);
		ASSERT_NE(block.data, nullptr);
		ASSERT_TRUE(filled(block.data, std::min(block.size, size), block.seed)) << step;
		block.size = size;
		block.seed = step;
		fill(block.data, size, step);
	}
	for (Block &block : blocks)
		free(block.data);
}

TEST(Realloc, OfAlignedBlocks)
{
	for (size_t alignment : {64ul, 4096ul, 2ul << 20}) {
		void *p = nullptr;

		ASSERT_EQ(posix_memalign(&p, alignment, 5000), 0);
		fill(p, 5000, 4);
		p = resized(p, 5000, 3 * MiB, 4);
		p = resized(p, 3 * MiB, 10, 4);
		free(p);
	}
}

TEST(Realloc, ToZeroFreesAsGlibcDoes)
{
	for (size_t n : {size_t{1}, 20 * KiB, 5 * MiB}) {
		size_t before = rss();

		for (int i = 0; i < 100; i++) {
			void *p = malloc(n);

			memset(p, 1, n);
			EXPECT_EQ(realloc(p, hidden(size_t{0})), nullptr);
		}
		EXPECT_LT(rss(), before + 100 * MiB) << "realloc(p, 0) did not free";
	}
}

TEST(Realloc, ArrayGrows)
{
	void *p = reallocarray(nullptr, 10, 100);

	fill(p, 1000, 5);
	p = reallocarray(p, 1000, 1000);
	ASSERT_NE(p, nullptr);
	EXPECT_TRUE(filled(p, 1000, 5));
	free(p);
}

bool all_zero(const void *p, size_t n)
{
	auto *byte = static_cast<const unsigned char *>(p);

	return n == 0 || (byte[0] == 0 && memcmp(byte, byte + 1, n - 1) == 0);
}

void dirty_and_free(size_t n, int copies)
{
	std::vector<void *> blocks(copies);

	for (void *&p : blocks) {
		p = malloc(n);
		memset(p, 0xA5, malloc_usable_size(p));
	}
	for (void *p : blocks)
		free(p);
}

TEST(Calloc, RecycledMemoryReadsZero)
{
	for (size_t n = 1; n <= 8 * MiB; n = n * 5 / 3 + 1) {
		int copies = n < 64 * KiB ? 50 : 4;
		std::vector<void *> blocks(copies);

		dirty_and_free(n, copies);
		for (void *&p : blocks) {
			p = calloc(1, n);
			ASSERT_TRUE(all_zero(p, n)) << n;
			memset(p, 0x5A, n);
		}
		for (void *p : blocks)
			free(p);
	}
}

/* Units that went back to the kernel, or were kept, and come again. */
TEST(Calloc, ReadsZeroAfterTrim)
{
	for (int round = 0; round < 3; round++) {
		dirty_and_free(3 * MiB + 5000, 10);
		if (round == 1)
			malloc_trim(0);
		void *p = calloc(30, MiB);
		ASSERT_TRUE(all_zero(p, 30 * MiB)) << round;
		memset(p, 1, 30 * MiB);
		free(p);
	}
}

TEST(Calloc, OfAGibibyteTouchesNothing)
{
	size_t before = rss();
	void *p = calloc(1, GiB);

	ASSERT_NE(p, nullptr);
	EXPECT_LT(rss(), before + 8 * MiB);
	EXPECT_EQ(static_cast<char *>(p)[GiB - 1], 0);
	free(p);
}

} // namespace
