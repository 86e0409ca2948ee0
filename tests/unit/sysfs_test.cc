// Reading knobs and fields, from files made for the purpose and from the real /proc.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <unistd.h>

extern "C" {
#include "kernel/sysfs.h"
}

namespace
{

using namespace std::string_literals;

class Sysfs : public testing::Test
{
      protected:
	void SetUp() override
	{
		char name[] = "/tmp/unsplit-sysfs-XXXXXX";
		int fd = mkstemp(name);

		ASSERT_GE(fd, 0);
		close(fd);
		path = name;
		errno = EXDEV; // no function here may change it
	}
	void TearDown() override
	{
		EXPECT_EQ(errno, EXDEV);
		unlink(path.c_str());
	}
	const char *file(const std::string &text)
	{
		int saved_errno = errno;

		std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
		errno = saved_errno;
		return path.c_str();
	}

	std::string path;
	uint64_t value = 77;
	char buf[64] = "untouched";
};

TEST_F(Sysfs, ReadsAFile)
{
	EXPECT_EQ(sysfs_read(file("hello\n"), buf, sizeof(buf)), 6);
	EXPECT_STREQ(buf, "hello\n");
	EXPECT_EQ(sysfs_read(file(""), buf, sizeof(buf)), 0);
	EXPECT_STREQ(buf, "");
}

TEST_F(Sysfs, ReadsWhatFits)
{
	EXPECT_EQ(sysfs_read(file("0123456789"), buf, 5), 4);
	EXPECT_STREQ(buf, "0123");
	EXPECT_EQ(sysfs_read(file("0123"), buf, 1), 0);
	EXPECT_STREQ(buf, "");
	EXPECT_EQ(sysfs_read(file("0123"), buf, 0), -EINVAL);
}

TEST_F(Sysfs, SaysWhyAFileCannotBeRead)
{
	EXPECT_EQ(sysfs_read("/nowhere/at/all", buf, sizeof(buf)), -ENOENT);
	EXPECT_STREQ(buf, "");
	EXPECT_EQ(sysfs_read("/", buf, sizeof(buf)), -EISDIR);
}

TEST_F(Sysfs, ReadsANumber)
{
	EXPECT_TRUE(sysfs_number(file("2097152\n"), &value));
	EXPECT_EQ(value, 2097152u);
	EXPECT_TRUE(sysfs_number(file("  0 of them"), &value));
	EXPECT_EQ(value, 0u);
	EXPECT_TRUE(sysfs_number(file("18446744073709551615"), &value));
	EXPECT_EQ(value, UINT64_MAX);
}

TEST_F(Sysfs, RefusesWhatIsNoNumber)
{
	for (const char *text : {"", "\n", "max\n", "-1\n", "+1", "x1", "18446744073709551616"})
		EXPECT_FALSE(sysfs_number(file(text), &value)) << text;
	EXPECT_FALSE(sysfs_number("/nowhere/at/all", &value));
	EXPECT_EQ(value, 77u);
}

TEST_F(Sysfs, FindsTheChoice)
{
	EXPECT_TRUE(sysfs_choice(file("always [madvise] never\n"), buf, sizeof(buf)));
	EXPECT_STREQ(buf, "madvise");
	EXPECT_TRUE(sysfs_choice(file("always defer defer+madvise madvise [never]\n"), buf, 6));
	EXPECT_STREQ(buf, "never");
}

TEST_F(Sysfs, RefusesWhatIsNoChoice)
{
	for (const char *text : {"", "always madvise never", "always [madvise", "madvise] never"})
		EXPECT_FALSE(sysfs_choice(file(text), buf, sizeof(buf))) << text;
	EXPECT_FALSE(sysfs_choice("/nowhere/at/all", buf, sizeof(buf)));
	EXPECT_FALSE(sysfs_choice(file("[madvise]"), buf, 7)) << "a word that does not fit";
	EXPECT_STREQ(buf, "untouched");
}

TEST_F(Sysfs, FindsAField)
{
	const char *status = file("Name:\tx\nVmRSS:\t    1234 kB\nthp_split_page 5\n"
	                          "thp_split_pmd 6\nlast:7");

	EXPECT_TRUE(sysfs_field(status, "VmRSS", &value));
	EXPECT_EQ(value, 1234u);
	EXPECT_TRUE(sysfs_field(status, "thp_split_pmd", &value));
	EXPECT_EQ(value, 6u);
	EXPECT_TRUE(sysfs_field(status, "last", &value)) << "no newline at the end";
	EXPECT_EQ(value, 7u);
}

TEST_F(Sysfs, TakesWholeWordsAtTheStartOfALineOnly)
{
	const char *status = file("thp_split_pmd 6\nNode1 9\nName:\tx\nNumber 12 Name 8\nHuge "
	                          "99999999999999999999\nEmpty\nEnd");

	for (const char *key :
	     {"thp_split_p", "split_pmd", "Node", "Name", "name", "Huge", "Empty", "End"})
		EXPECT_FALSE(sysfs_field(status, key, &value)) << key;
	EXPECT_FALSE(sysfs_field("/nowhere/at/all", "Name", &value));
	EXPECT_FALSE(sysfs_field("/", "Name", &value));
	EXPECT_EQ(value, 77u);
}

// The file is read in pieces; wherever a cut falls, key and number are found whole.
TEST_F(Sysfs, FindsAFieldAcrossEveryCut)
{
	for (size_t before = 1000; before < 1060; before++) {
		std::string text(before, 'x');

		text += "\nAnonHugePages:      4711 kB\n";
		ASSERT_TRUE(sysfs_field(file(text), "AnonHugePages", &value)) << before;
		ASSERT_EQ(value, 4711u) << before;
	}
}

TEST_F(Sysfs, FindsAnEntryAcrossEveryCut)
{
	for (size_t before = 1000; before < 1060; before++) {
		std::string text = "A=" + std::string(before, 'x');

		text += "\0UNSPLIT_CONF=huge:off\0Z=1\0"s;
		ASSERT_TRUE(sysfs_entry(file(text), "UNSPLIT_CONF", buf, sizeof(buf))) << before;
		ASSERT_STREQ(buf, "huge:off") << before;
	}
}

TEST_F(Sysfs, FindsOnlyTheWholeEntry)
{
	std::string text = "XCONF=1\0CONFX=2\0CONF\0=3\0EMPTY=\0LONG=0123456789\0END=4"s;

	EXPECT_FALSE(sysfs_entry(file(text), "CONF", buf, sizeof(buf)));
	EXPECT_FALSE(sysfs_entry(file(text), "END", buf, sizeof(buf))) << "it does not end";
	EXPECT_FALSE(sysfs_entry(file(text), "LONG", buf, 10)) << "it does not fit";
	EXPECT_TRUE(sysfs_entry(file(text), "LONG", buf, 11));
	EXPECT_STREQ(buf, "0123456789");
	EXPECT_TRUE(sysfs_entry(file(text), "EMPTY", buf, sizeof(buf)));
	EXPECT_STREQ(buf, "");
	EXPECT_FALSE(sysfs_entry(file(text), "LONG", buf, 0));
	EXPECT_FALSE(sysfs_entry("/nowhere/at/all", "LONG", buf, sizeof(buf)));
}

TEST_F(Sysfs, ReadsTheRealProc)
{
	EXPECT_TRUE(sysfs_field("/proc/self/status", "Pid", &value));
	EXPECT_EQ(value, uint64_t(getpid()));
	EXPECT_TRUE(sysfs_field("/proc/meminfo", "MemTotal", &value));
	EXPECT_GT(value, 1024u);
}

} // namespace
