// The formatter against snprintf, and the lines that reach stderr.
#include <gtest/gtest.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <string>

extern "C" {
#include "kernel/say.h"
}

namespace
{

// What both formatters write; `ours` is compared with `theirs` by the tests.
struct Both {
	std::string ours, theirs;
	size_t our_length, their_length;
};

__attribute__((format(printf, 2, 3))) Both format(size_t size, const char *format, ...)
{
	Both both;
	va_list args;

	both.ours.assign(size + 1, '#');
	both.theirs.assign(size + 1, '#');
	va_start(args, format);
	both.our_length = say_format(&both.ours[0], size, format, args);
	va_end(args);
	va_start(args, format);
	both.their_length = size_t(vsnprintf(&both.theirs[0], size, format, args));
	va_end(args);
	// Bytes behind the NUL are nobody's promise; the guard behind the buffer is.
	EXPECT_EQ(both.ours[size], '#') << "wrote behind the buffer";
	if (size) {
		both.ours.resize(both.ours.find('\0'));
		both.theirs.resize(both.theirs.find('\0'));
	}
	return both;
}

#define EXPECT_SAME(...)                                                                           \
	do {                                                                                       \
		for (size_t size : {size_t(0), size_t(1), size_t(2), size_t(7), size_t(200)}) {    \
			Both both = format(size, __VA_ARGS__);                                     \
			EXPECT_EQ(both.ours, both.theirs) << "in " << size << " bytes";            \
			EXPECT_EQ(both.our_length, both.their_length);                             \
		}                                                                                  \
	} while (0)

TEST(Say, FormatsAsPrintf)
{
	EXPECT_SAME("plain text");
	EXPECT_SAME("100%%");
	EXPECT_SAME("<%s> <%s>", "", "a string");
	EXPECT_SAME("%c%c%c", 'a', '%', 'z');
	EXPECT_SAME("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	EXPECT_SAME("%u %u", 0u, UINT_MAX);
	EXPECT_SAME("%lu %lu", 0ul, ULONG_MAX);
	EXPECT_SAME("%zu %zu", size_t(10), SIZE_MAX);
	int anything;
	EXPECT_SAME("%p %p", static_cast<void *>(&anything), static_cast<void *>(nullptr));
}

TEST(Say, ShowsANullStringInsteadOfCrashing)
{
	char buf[32];
	const char *volatile nothing = nullptr; // volatile: the compiler would warn

	say_into(buf, sizeof(buf), "<%s>", nothing);
	EXPECT_STREQ(buf, "<(null)>");
}

TEST(Say, ShowsTheRestAsItStandsAfterAnUnknownConversion)
{
	char buf[32];
	// Through a pointer without the format attribute, or the compiler would object.
	size_t (*untyped)(char *, size_t, const char *, ...) = say_into;

	untyped(buf, sizeof(buf), "%u, %x and %u", 1u, 2u, 3u);
	EXPECT_STREQ(buf, "1, %x and %u");
	untyped(buf, sizeof(buf), "at the end %");
	EXPECT_STREQ(buf, "at the end %");
}

TEST(Say, WritesOneLineToStderrAndKeepsErrno)
{
	testing::internal::CaptureStderr();
	errno = ENOSPC;
	say("%d of %s", 3, "these");
	int after = errno;
	EXPECT_EQ(testing::internal::GetCapturedStderr(), "unsplit: 3 of these\n");
	EXPECT_EQ(after, ENOSPC);
}

TEST(Say, EndsALineThatIsTooLongWithANewline)
{
	std::string text(5000, 'x');

	testing::internal::CaptureStderr();
	say("%s", text.c_str());
	std::string line = testing::internal::GetCapturedStderr();
	EXPECT_EQ(line.substr(0, 10), "unsplit: x");
	EXPECT_EQ(line.size(), 1023u);
	EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(SayDeathTest, DieSaysWhyAndAborts)
{
	EXPECT_EXIT(die("block %u is broken", 7u), testing::KilledBySignal(SIGABRT),
	            "^unsplit: block 7 is broken\n");
}

TEST(SayDeathTest, MustNamesTheConditionAndThePlace)
{
	must(1 + 1 == 2);
	EXPECT_EXIT(must(1 + 1 == 3), testing::KilledBySignal(SIGABRT),
	            "^unsplit: internal error: .*say_test.cc:[0-9]+: 1 \\+ 1 == 3\n");
}

} // namespace
