/* operator new and delete, all of them. */
#include "support.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <malloc.h>
#include <new>
#include <vector>

using namespace support;

namespace
{

constexpr size_t sizes[] = {0, 1, 8, 24, 1000, 20 * KiB, 300 * KiB, 3 * MiB};
const std::nothrow_t &quiet = std::nothrow;

void *checked(void *p, size_t size, size_t alignment)
{
	EXPECT_NE(p, nullptr);
	EXPECT_TRUE(aligned(p, alignment)) << p;
	EXPECT_GE(malloc_usable_size(p), size);
	fill(p, size, 1);
	return p;
}

TEST(New, PlainArrayAndNothrow)
{
	for (size_t n : sizes) {
		::operator delete(checked(::operator new(n), n, 16));
		::operator delete(checked(::operator new(n), n, 16), n);
		::operator delete[](checked(::operator new[](n), n, 16));
		::operator delete[](checked(::operator new[](n), n, 16), n);
		::operator delete(checked(::operator new(n, quiet), n, 16), quiet);
		::operator delete[](checked(::operator new[](n, quiet), n, 16), quiet);
	}
}

TEST(New, Aligned)
{
	for (size_t n : sizes) {
		for (size_t bytes : {32ul, 256ul, 1024ul, 4096ul, 2ul << 20}) {
			auto to = static_cast<std::align_val_t>(bytes);

			::operator delete(checked(::operator new(n, to), n, bytes), to);
			::operator delete(checked(::operator new(n, to), n, bytes), n, to);
			::operator delete[](checked(::operator new[](n, to), n, bytes), to);
			::operator delete[](checked(::operator new[](n, to), n, bytes), n, to);
			::operator delete(checked(::operator new(n, to, quiet), n, bytes), to,
			                  quiet);
			::operator delete[](checked(::operator new[](n, to, quiet), n, bytes), to,
			                    quiet);
		}
	}
}

/* Memory of new may go to free and the other way round in programs that mix C and C++. */
TEST(New, SharesTheHeapWithMalloc)
{
	for (size_t n : sizes) {
		free(::operator new(n));
		::operator delete(malloc(n));
	}
	::operator delete(hidden<void *>(nullptr));
	::operator delete[](hidden<void *>(nullptr));
}

TEST(New, ImpossibleSizeThrows)
{
	auto page = static_cast<std::align_val_t>(4096);

	for (size_t n : {SIZE_MAX - 4096, size_t{PTRDIFF_MAX} + 1, size_t{1} << 50}) {
		EXPECT_THROW(hidden(::operator new(hidden(n))), std::bad_alloc);
		EXPECT_THROW(hidden(::operator new[](hidden(n))), std::bad_alloc);
		EXPECT_THROW(hidden(::operator new(hidden(n), page)), std::bad_alloc);
		EXPECT_THROW(hidden(::operator new[](hidden(n), page)), std::bad_alloc);
	}
	EXPECT_THROW(std::vector<char>(hidden(size_t{1} << 60)), std::bad_alloc);
}

TEST(New, NothrowReturnsNull)
{
	auto page = static_cast<std::align_val_t>(4096);

	for (size_t n : {SIZE_MAX - 4096, size_t{1} << 50}) {
		EXPECT_EQ(::operator new(hidden(n), quiet), nullptr);
		EXPECT_EQ(::operator new[](hidden(n), quiet), nullptr);
		EXPECT_EQ(::operator new(hidden(n), page, quiet), nullptr);
		EXPECT_EQ(::operator new[](hidden(n), page, quiet), nullptr);
	}
}

/* Rounded up to the alignment these wrap round to 0, and libstdc++'s own operators give memory. */
TEST(UnsplitNew, SizesThatWrapRound)
{
	auto page = static_cast<std::align_val_t>(4096);

	for (size_t n : {SIZE_MAX, SIZE_MAX - 100}) {
		EXPECT_THROW(hidden(::operator new(hidden(n), page)), std::bad_alloc);
		EXPECT_THROW(hidden(::operator new[](hidden(n), page)), std::bad_alloc);
		EXPECT_EQ(::operator new(hidden(n), page, quiet), nullptr);
		EXPECT_EQ(::operator new[](hidden(n), page, quiet), nullptr);
	}
}

struct GivenUp {
};

int handler_calls;

void throws_the_third_time()
{
	if (++handler_calls == 3)
		throw GivenUp();
}

void leaves_the_third_time()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

void throws_bad_alloc()
{
	handler_calls++;
	throw std::bad_alloc();
}

class NewHandler : public testing::Test
{
      protected:
	void SetUp() override
	{
		handler_calls = 0;
	}
	void TearDown() override
	{
		std::set_new_handler(nullptr);
	}
};

TEST_F(NewHandler, IsCalledUntilItThrows)
{
	std::set_new_handler(throws_the_third_time);
	EXPECT_THROW(hidden(::operator new(hidden(SIZE_MAX))), GivenUp);
	EXPECT_EQ(handler_calls, 3);
}

TEST_F(NewHandler, IsCalledUntilThereIsNone)
{
	std::set_new_handler(leaves_the_third_time);
	EXPECT_THROW(hidden(::operator new[](hidden(SIZE_MAX / 2))), std::bad_alloc);
	EXPECT_EQ(handler_calls, 3);
}

TEST_F(NewHandler, IsCalledForAlignedRequests)
{
	std::set_new_handler(leaves_the_third_time);
	EXPECT_THROW(hidden(::operator new (hidden(SIZE_MAX / 2), std::align_val_t{64})),
	             std::bad_alloc);
	EXPECT_EQ(handler_calls, 3);
}

TEST_F(NewHandler, NothrowCallsItAndStillReturnsNull)
{
	std::set_new_handler(throws_bad_alloc);
	EXPECT_EQ(::operator new(hidden(SIZE_MAX), quiet), nullptr);
	EXPECT_EQ(::operator new (hidden(SIZE_MAX / 2), std::align_val_t{64}, quiet), nullptr);
	EXPECT_EQ(handler_calls, 2);
}

TEST_F(NewHandler, IsNotCalledByMalloc)
{
	std::set_new_handler(throws_bad_alloc);
	EXPECT_EQ(malloc(hidden(SIZE_MAX)), nullptr);
	EXPECT_EQ(handler_calls, 0);
}

} // namespace
