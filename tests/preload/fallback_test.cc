/* Where something is missing we are still a correct allocator.  `degrade` and `with_knob` take
 * something away and run the suites of this program that belong to it: "Heap" always, and one that
 * shows that the thing is really missing. */
#include "support.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <new>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

/* ---- The heap works ---- */

struct Block {
	void *data;
	size_t size;
};

void churn(unsigned seed, unsigned steps, std::vector<Block> &blocks)
{
	Random random(seed);

	for (unsigned step = 0; step < steps; step++) {
		Block &block = blocks[random.below(blocks.size())];

		ASSERT_TRUE(!block.data || filled(block.data, block.size, seed));
		free(block.data);
		block.size = random.size(step % 50 ? 15 : 21);
		block.data = malloc(block.size);
		ASSERT_NE(block.data, nullptr);
		fill(block.data, block.size, seed);
	}
	for (Block &block : blocks)
		free(block.data);
}

TEST(Heap, Churns)
{
	std::vector<Block> blocks(500, Block{nullptr, 0});

	churn(1, 10000, blocks);
}

TEST(Heap, ChurnsInThreads)
{
	std::vector<std::thread> threads;

	for (unsigned i = 1; i <= 4; i++)
		threads.emplace_back([=] {
			std::vector<Block> blocks(100, Block{nullptr, 0});

			churn(i, 3000, blocks);
		});
	for (std::thread &thread : threads)
		thread.join();
}

TEST(Heap, GrowsShrinksAndZeroes)
{
	void *p = malloc(100);

	fill(p, 100, 1);
	for (size_t size : {KiB, 20 * KiB, MiB, 5 * MiB, 40 * MiB, 3 * MiB, 50 * KiB, 100ul}) {
		p = realloc(p, size);
		ASSERT_NE(p, nullptr) << size;
		ASSERT_TRUE(filled(p, 100, 1));
		memset(static_cast<char *>(p) + 100, 0xA5, size - 100);
	}
	free(p);
	for (int i = 0; i < 4; i++) {
		auto *zeros = static_cast<char *>(calloc(3, MiB));

		ASSERT_NE(zeros, nullptr);
		ASSERT_TRUE(zeros[0] == 0 && memcmp(zeros, zeros + 1, 3 * MiB - 1) == 0);
		memset(zeros, 1, 3 * MiB);
		free(zeros);
	}
	malloc_trim(0);
}

TEST(Heap, SurvivesFork)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			alarm(30);
			free(malloc(100000));
			std::thread([] { free(malloc(1000)); }).join();
			_exit(0);
		}
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_EQ(status, 0);
	}
}

/* ---- What is missing is really missing ---- */

TEST(Missing, HugePages)
{
	size_t size = 64 * MiB;
	void *p = malloc(size);

	memset(p, 1, size);
	EXPECT_EQ(rollup("AnonHugePages"), 0u);
	free(p);
}

TEST(Missing, Madvise)
{
	EXPECT_EQ(madvise(reinterpret_cast<void *>(4096), 4096, MADV_NORMAL), -1);
	EXPECT_EQ(errno, EPERM);
}

TEST(Missing, Membarrier)
{
	EXPECT_EQ(syscall(SYS_membarrier, 0, 0, 0), -1);
	EXPECT_EQ(errno, EPERM);
}

TEST(Missing, Prctl)
{
	EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), -1);
	EXPECT_EQ(errno, EPERM);
}

TEST(Missing, PagemapScan)
{
	char arguments[96] = "";
	int fd = open("/proc/self/pagemap", O_RDONLY);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, 96), arguments), -1);
	EXPECT_EQ(errno, ENOTTY);
	close(fd);
}

/* With overcommit_memory=2 the kernel refuses what it cannot promise. */
TEST(Missing, Overcommit)
{
	errno = 0;
	EXPECT_EQ(malloc(hidden(size_t{1} << 40)), nullptr);
	EXPECT_EQ(errno, ENOMEM);
	EXPECT_EQ(first_line("/proc/sys/vm/overcommit_memory"), "2");
}

/* ---- RLIMIT_AS ---- */

/* Blocks of one size until there are no more, chained through their first words. */
class Hoard
{
      public:
	explicit Hoard(size_t size) : size_(size)
	{
		errno = 0;
		while (void *p = malloc(size_)) {
			*static_cast<void **>(p) = first_;
			first_ = p;
			total_ += size_;
		}
		error_ = errno;
	}

	~Hoard()
	{
		while (first_)
			release_one();
	}

	void release_one()
	{
		void *p = first_;

		first_ = *static_cast<void **>(p);
		free(p);
	}

	size_t total() const
	{
		return total_;
	}

	int error() const
	{
		return error_;
	}

      private:
	size_t size_, total_ = 0;
	void *first_ = nullptr;
	int error_;
};

size_t address_limit()
{
	rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	return limit.rlim_cur;
}

struct Haul {
	size_t total;
	int error;
};

/* What could be had; all of it is free again before anybody looks, as a test that fails needs
 * memory to say so. */
Haul haul_of(size_t size)
{
	Hoard hoard(size);

	return {hoard.total(), hoard.error()};
}

class AddressLimit : public testing::TestWithParam<size_t>
{
};

TEST_P(AddressLimit, IsUsedNearlyWhollyThenEnomem)
{
	ASSERT_NE(address_limit(), RLIM_INFINITY);
	Haul first = haul_of(GetParam());
	EXPECT_EQ(first.error, ENOMEM);
	EXPECT_GE(first.total, address_limit() / 100 * 60);
	/* What was freed can be had again. */
	Haul again = haul_of(GetParam());
	EXPECT_EQ(again.error, ENOMEM);
	EXPECT_GE(again.total, first.total / 10 * 8);
}

INSTANTIATE_TEST_SUITE_P(Sizes, AddressLimit, testing::Values(256, 5000, 40 * KiB, MiB));

Hoard *hoard_to_release;
int handler_calls;

void release_some()
{
	handler_calls++;
	for (int i = 0; i < 10; i++)
		hoard_to_release->release_one();
}

/* operator new asks its handler, which frees, and then succeeds. */
bool new_succeeds_with_a_handler_that_frees()
{
	Hoard hoard(MiB);

	hoard_to_release = &hoard;
	std::set_new_handler(release_some);
	void *p = ::operator new(5 * MiB);
	std::set_new_handler(nullptr);
	::operator delete(p);
	return p != nullptr;
}

TEST(AddressLimitNew, HandlerThatFreesIsEnough)
{
	EXPECT_TRUE(new_succeeds_with_a_handler_that_frees());
	EXPECT_GE(handler_calls, 1);
}

} // namespace
