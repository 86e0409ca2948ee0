// Patterns, beside those of the C library.
#include "random.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fnmatch.h>
#include <string>

extern "C" {
#include "site/glob.h"
}

namespace
{

bool fits(const std::string &pattern, const std::string &text)
{
	return glob_match(pattern.c_str(), text.data(), text.size());
}

TEST(Glob, ExactText)
{
	EXPECT_TRUE(fits("", ""));
	EXPECT_TRUE(fits("main", "main"));
	EXPECT_FALSE(fits("main", "Main"));
	EXPECT_FALSE(fits("main", "mai"));
	EXPECT_FALSE(fits("main", "main2"));
	EXPECT_FALSE(fits("", "x"));
}

TEST(Glob, StarsAndQuestionMarks)
{
	EXPECT_TRUE(fits("*", ""));
	EXPECT_TRUE(fits("a*", "a"));
	EXPECT_TRUE(fits("*::grow", "Table::grow"));
	EXPECT_TRUE(fits("*ab", "aaab")) << "the star must take one more";
	EXPECT_TRUE(fits("a*b*c", "a-b-b-c-c"));
	EXPECT_FALSE(fits("a*b*c", "a-c-b"));
	EXPECT_TRUE(fits("lib?.so", "libm.so"));
	EXPECT_FALSE(fits("lib?.so", "lib.so"));
}

TEST(Glob, Sets)
{
	EXPECT_TRUE(fits("[a-c]x", "bx"));
	EXPECT_FALSE(fits("[a-c]x", "dx"));
	EXPECT_TRUE(fits("[!a-c]x", "dx"));
	EXPECT_TRUE(fits("[^a-c]x", "dx"));
	EXPECT_FALSE(fits("[!a-c]x", "ax"));
	EXPECT_TRUE(fits("[]]", "]"));
	EXPECT_TRUE(fits("[a-]", "-"));
	EXPECT_TRUE(fits("[*]", "*"));
	EXPECT_FALSE(fits("[*]", "a"));
	EXPECT_FALSE(fits("[c-a]", "b"));
}

TEST(Glob, ABracketThatNothingClosesStandsForItself)
{
	EXPECT_TRUE(fits("operator[]", "operator[]"));
	EXPECT_TRUE(fits("operator new[[]]", "operator new[]"));
	EXPECT_TRUE(fits("[", "["));
	EXPECT_TRUE(fits("[a-", "[a-"));
	EXPECT_FALSE(fits("[a", "a"));
}

TEST(Glob, TheTextNeedsNoEnd)
{
	EXPECT_TRUE(glob_match("ab", "abc", 2));
	EXPECT_FALSE(glob_match("abc", "abc", 2));
	EXPECT_TRUE(glob_match("*", "\0\0", 2));
	EXPECT_TRUE(glob_match("?[!a]", "\0\0", 2));
}

std::string letters(test::Random &random, const char *from, size_t least, size_t most)
{
	std::string text;

	for (size_t n = random.between(least, most); n > 0; n--)
		text += from[random.below(strlen(from))];
	return text;
}

// A set that is closed: what the C library makes of others depends on what stands in them.
std::string set(test::Random &random)
{
	static const char *const negations[] = {"", "!", "^"};
	std::string text = "[";

	text += negations[random.below(3)];
	text += random.one_in(4) ? "]" : "";
	return text + letters(random, "abc*?!^-", 1, 4) + "]";
}

std::string pattern(test::Random &random)
{
	std::string text;

	for (size_t n = random.below(6); n > 0; n--)
		text += random.one_in(3) ? set(random) : letters(random, "ab**?]", 1, 2);
	return text;
}

// What the C library says of the same, over alphabets so small that much fits.
TEST(Glob, AgreesWithTheCLibrary)
{
	test::Random random(1);
	TRACE_SEED();
	size_t rounds = test::effort(2000000), fitting = 0;

	for (size_t i = 0; i < rounds; i++) {
		std::string glob = pattern(random), name = letters(random, "aabbc]-!", 0, 6);
		bool expected = fnmatch(glob.c_str(), name.c_str(), FNM_NOESCAPE) == 0;

		ASSERT_EQ(fits(glob, name), expected) << "\"" << glob << "\" \"" << name << "\"";
		fitting += expected;
	}
	EXPECT_GT(fitting, rounds / 20);
	EXPECT_LT(fitting, rounds / 2);
}

// Recursion over the stars would never end here.
TEST(Glob, ManyStarsTakeNoLongerThanOne)
{
	std::string pattern, text(100000, 'a');

	for (int i = 0; i < 100; i++)
		pattern += "*a";
	pattern += "*b";
	EXPECT_FALSE(fits(pattern, text));
	EXPECT_TRUE(fits(pattern, text + "b"));
}

} // namespace
