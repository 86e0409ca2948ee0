/* The entry points by which a program looks at its heap or tunes it. */
#include "support.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <string>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

std::vector<void *> blocks_of(size_t size, size_t total)
{
	std::vector<void *> blocks(total / size);

	for (void *&p : blocks) {
		p = malloc(size);
		memset(p, 1, size);
	}
	return blocks;
}

void free_all(const std::vector<void *> &blocks)
{
	for (void *p : blocks)
		free(p);
}

size_t in_use()
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

TEST(Introspect, TrimGivesBackAndKeepsWhatIsUsed)
{
	void *kept = malloc(300 * KiB);

	fill(kept, 300 * KiB, 8);
	for (size_t size : {256ul, 20ul << 10, 5ul << 20}) {
		size_t before = rss();

		free_all(blocks_of(size, 200 * MiB));
		malloc_trim(0);
		EXPECT_LT(rss(), before + 32 * MiB) << size;
	}
	EXPECT_TRUE(filled(kept, 300 * KiB, 8));
	free(kept);
}

TEST(Introspect, Mallinfo2FollowsUse)
{
	for (size_t size : {512ul, 40ul << 10, 3ul << 20}) {
		size_t before = in_use();
		auto blocks = blocks_of(size, 64 * MiB);

		EXPECT_GE(in_use(), before + 62 * MiB) << size;
		EXPECT_LE(in_use(), before + 80 * MiB) << size;
		free_all(blocks);
		EXPECT_LE(in_use(), before + 8 * MiB) << size;
	}
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST(Introspect, MallinfoAgreesWithMallinfo2)
{
	auto blocks = blocks_of(1000, 16 * MiB);
	struct mallinfo old = mallinfo();

	EXPECT_NEAR(static_cast<double>(old.uordblks) + old.hblkhd, static_cast<double>(in_use()),
	            static_cast<double>(MiB));
	free_all(blocks);
}
#pragma GCC diagnostic pop

/* Programs check the result and complain: every parameter is accepted, as glibc does. */
TEST(Introspect, MalloptAccepts)
{
	EXPECT_EQ(mallopt(M_TRIM_THRESHOLD, 1 << 20), 1);
	EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
	EXPECT_EQ(mallopt(M_ARENA_MAX, 2), 1);
	free_all(blocks_of(2 * MiB, 8 * MiB));
}

std::string stderr_of(void (*print)())
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	char text[4096] = "";

	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	print();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	size_t length = fread(text, 1, sizeof text, file);
	fclose(file);
	return std::string(text, length);
}

TEST(Introspect, MallocStatsPrintsToStderr)
{
	EXPECT_NE(stderr_of(malloc_stats), "");
}

TEST(Introspect, MallocInfoWritesXml)
{
	char *text = nullptr;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);

	EXPECT_EQ(malloc_info(0, stream), 0);
	fclose(stream);
	std::string xml(text, length);
	EXPECT_EQ(xml.rfind("<malloc", 0), 0u) << xml;
	EXPECT_NE(xml.find("</malloc>"), std::string::npos) << xml;
	free(text);
}

TEST(Introspect, MallocInfoRefusesUnknownOptions)
{
	EXPECT_NE(malloc_info(1, stdout), 0);
}

/* A function that no header declares any more; null if nobody exports it. */
template <typename Function> Function *exported(const char *name)
{
	return reinterpret_cast<Function *>(dlsym(RTLD_DEFAULT, name));
}

/* Gone from glibc's headers; old binaries still call it. */
TEST(UnsplitIntrospect, CfreeFrees)
{
	auto cfree = exported<void(void *)>("cfree");
	size_t before = rss();

	ASSERT_NE(cfree, nullptr);
	for (int i = 0; i < 100; i++) {
		void *p = malloc(3 * MiB);

		memset(p, 1, 3 * MiB);
		cfree(p);
	}
	EXPECT_LT(rss(), before + 64 * MiB);
}

/* glibc's second names for the family: some programs call these, and free what they get with
 * free, or hand what malloc gave to __libc_free. */
TEST(UnsplitIntrospect, LibcNamesShareTheHeap)
{
	auto libc_malloc = exported<void *(size_t)>("__libc_malloc");
	auto libc_calloc = exported<void *(size_t, size_t)>("__libc_calloc");
	auto libc_realloc = exported<void *(void *, size_t)>("__libc_realloc");
	auto libc_memalign = exported<void *(size_t, size_t)>("__libc_memalign");
	auto libc_free = exported<void(void *)>("__libc_free");

	ASSERT_TRUE(libc_malloc && libc_calloc && libc_realloc && libc_memalign && libc_free);
	for (size_t n : {24ul, 5000ul, 40ul << 10, 3ul << 20}) {
		for (void *p : {libc_malloc(n), libc_calloc(1, n), libc_memalign(64, n)}) {
			ASSERT_GE(malloc_usable_size(p), n);
			fill(p, n, 1);
			p = libc_realloc(p, 2 * n);
			EXPECT_TRUE(filled(p, n, 1));
			free(p);
		}
		libc_free(malloc(n));
	}
}

} // namespace
