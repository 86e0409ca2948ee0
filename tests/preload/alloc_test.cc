/* malloc, calloc, realloc and the aligned family: what a block must be. */
#include "support.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <malloc.h>
#include <set>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

/* Every small size, then odd and round ones up to 1 MiB. */
std::vector<size_t> sizes_to_try()
{
	std::vector<size_t> sizes;

	for (size_t n = 0; n <= 2 * KiB; n++)
		sizes.push_back(n);
	for (size_t n = 2 * KiB; n <= MiB; n += n / 16) {
		sizes.push_back(n - 1);
		sizes.push_back(n);
		sizes.push_back(n + 1);
	}
	sizes.push_back(MiB);
	return sizes;
}

struct Block {
	unsigned char *data;
	size_t size;
};

using Allocate = std::function<void *(size_t)>;

/* Several live blocks of each size, all of what malloc_usable_size says written, then all read. */
void check_all_sizes(const Allocate &allocate)
{
	std::vector<Block> blocks;
	unsigned seed = 0;

	for (size_t n : sizes_to_try()) {
		for (int copy = 0; copy < 3; copy++) {
			void *p = allocate(n);
			ASSERT_NE(p, nullptr) << n;
			ASSERT_TRUE(aligned(p, 16)) << "size " << n << " at " << p;
			size_t usable = malloc_usable_size(p);
			ASSERT_GE(usable, n);
			fill(p, usable, seed++);
			blocks.push_back({static_cast<unsigned char *>(p), usable});
		}
	}
	seed = 0;
	for (Block &block : blocks) {
		ASSERT_TRUE(filled(block.data, block.size, seed++)) << block.size;
		free(block.data);
	}
}

TEST(Alloc, MallocOfEverySize)
{
	check_all_sizes([](size_t n) { return malloc(n); });
}

TEST(Alloc, CallocOfEverySize)
{
	check_all_sizes([](size_t n) { return calloc(1, n); });
}

TEST(Alloc, ReallocOfNullOfEverySize)
{
	check_all_sizes([](size_t n) { return n ? realloc(nullptr, n) : malloc(0); });
}

TEST(Alloc, ZeroBytesAreDistinctBlocks)
{
	std::set<void *> blocks;

	for (int i = 0; i < 1000; i++)
		ASSERT_TRUE(blocks.insert(malloc(0)).second);
	ASSERT_EQ(blocks.count(nullptr), 0u);
	for (void *p : blocks)
		free(p);
}

TEST(Alloc, BigBlocksHoldWhatIsWritten)
{
	for (size_t n :
	     {MiB + 1, 2 * MiB, 2 * MiB + 4096, 3 * MiB - 1, 33 * MiB, 100 * MiB + 12345}) {
		void *p = malloc(n);
		ASSERT_NE(p, nullptr);
		ASSERT_TRUE(aligned(p, 16));
		ASSERT_GE(malloc_usable_size(p), n);
		fill(p, malloc_usable_size(p), 7);
		ASSERT_TRUE(filled(p, malloc_usable_size(p), 7));
		free(p);
	}
}

TEST(Alloc, FreeOfNullDoesNothing)
{
	free(hidden<void *>(nullptr));
	EXPECT_EQ(malloc_usable_size(nullptr), 0u);
}

/* Random lives: whatever is recycled must not be anybody else's. */
TEST(Alloc, RecycledBlocksDoNotOverlap)
{
	Random random(1);
	std::vector<Block> live(2000, Block{nullptr, 0});

	for (unsigned step = 0; step < 200000; step++) {
		size_t i = random.below(live.size());
		Block &block = live[i];

		if (block.data) {
			ASSERT_TRUE(filled(block.data, std::min<size_t>(block.size, 512), i))
				<< step;
			free(block.data);
		}
		block.size = random.size(17);
		block.data = static_cast<unsigned char *>(malloc(block.size));
		ASSERT_NE(block.data, nullptr);
		fill(block.data, std::min<size_t>(block.size, 512), i);
	}
	for (Block &block : live)
		free(block.data);
}

using AllocateAligned = std::function<void *(size_t alignment, size_t size)>;

void *by_posix_memalign(size_t alignment, size_t size)
{
	void *p = nullptr;

	return posix_memalign(&p, alignment, size) == 0 ? p : nullptr;
}

/* More live blocks where they are small: a wrong alignment often shows only in the second. */
void check_alignment(const AllocateAligned &allocate, size_t alignment, size_t size)
{
	std::vector<void *> blocks(alignment + size <= 8 * KiB ? 64 : 3);
	unsigned seed = 0;

	for (void *&p : blocks) {
		p = allocate(alignment, size);
		ASSERT_NE(p, nullptr);
		ASSERT_TRUE(aligned(p, alignment))
			<< p << " alignment " << alignment << " size " << size;
		ASSERT_GE(malloc_usable_size(p), size);
		fill(p, std::min(malloc_usable_size(p), 64 * KiB), seed++);
	}
	seed = 0;
	for (void *p : blocks) {
		ASSERT_TRUE(filled(p, std::min(malloc_usable_size(p), 64 * KiB), seed++));
		free(p);
	}
}

void check_all_alignments(const AllocateAligned &allocate)
{
	for (size_t alignment = 8; alignment <= 4 * MiB; alignment *= 2) {
		for (size_t size : {size_t{0}, size_t{1}, size_t{8}, size_t{24}, size_t{100},
		                    alignment - 1, alignment, alignment + 1, 2 * alignment,
		                    3 * alignment + 5, 20 * KiB, 300 * KiB})
			check_alignment(allocate, alignment, size);
	}
}

TEST(Aligned, PosixMemalign)
{
	check_all_alignments(by_posix_memalign);
}

TEST(Aligned, Memalign)
{
	check_all_alignments([](size_t a, size_t n) { return memalign(a, n); });
}

TEST(Aligned, AlignedAlloc)
{
	check_all_alignments([](size_t a, size_t n) { return aligned_alloc(a, n); });
}

/* The sizes that Debian's mimalloc misaligns, after its free lists are no longer fresh. */
TEST(Aligned, AlignmentEqualToSizeInAUsedHeap)
{
	for (size_t n : {256, 512, 1024}) {
		std::vector<void *> blocks;

		for (int i = 0; i < 5000; i++)
			blocks.push_back(i % 2 ? malloc(n) : by_posix_memalign(n, n));
		for (size_t i = 1; i < blocks.size(); i += 2)
			free(blocks[i]);
		for (size_t i = 1; i < blocks.size(); i += 2)
			blocks[i] = by_posix_memalign(n, n);
		for (void *p : blocks) {
			ASSERT_TRUE(aligned(p, n)) << n << " at " << p;
			free(p);
		}
	}
}

TEST(Aligned, PagesOfVallocAndPvalloc)
{
	auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));

	for (size_t n : {size_t{1}, page - 1, page, page + 1, 10 * page, MiB + 1}) {
		void *v = valloc(n);
		void *pv = pvalloc(n);

		ASSERT_TRUE(v && aligned(v, page)) << n;
		ASSERT_TRUE(pv && aligned(pv, page)) << n;
		ASSERT_GE(malloc_usable_size(v), n);
		ASSERT_GE(malloc_usable_size(pv), (n + page - 1) / page * page);
		memset(v, 1, malloc_usable_size(v));
		memset(pv, 2, malloc_usable_size(pv));
		free(v);
		free(pv);
	}
}

TEST(Aligned, PosixMemalignRefusesBadAlignments)
{
	for (size_t alignment : {0, 1, 2, 3, 4, 12, 24, 48, 4095}) {
		void *untouched = &alignment;
		void *p = untouched;

		errno = 4711;
		EXPECT_EQ(posix_memalign(&p, hidden(alignment), 100), EINVAL) << alignment;
		EXPECT_EQ(p, untouched) << alignment;
		EXPECT_EQ(errno, 4711);
	}
}

/* glibc rounds these up; an alignment that is no power of two is EINVAL here. */
TEST(UnsplitAligned, MemalignAndAlignedAllocRefuseBadAlignments)
{
	for (size_t alignment : {3, 12, 24, 48, 4095}) {
		errno = 0;
		EXPECT_EQ(aligned_alloc(hidden(alignment), 96), nullptr) << alignment;
		EXPECT_EQ(errno, EINVAL);
		errno = 0;
		EXPECT_EQ(memalign(hidden(alignment), 96), nullptr) << alignment;
		EXPECT_EQ(errno, EINVAL);
	}
}

} // namespace
