// Files that readers find whole.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

extern "C" {
#include "report/whole_file.h"
}

namespace fs = std::filesystem;

namespace
{

class WholeFile : public testing::Test
{
      protected:
	void SetUp() override
	{
		char name[] = "/tmp/unsplit-whole-XXXXXX";

		ASSERT_NE(mkdtemp(name), nullptr);
		root = name;
	}
	void TearDown() override
	{
		fs::remove_all(root);
	}
	std::string path(const std::string &file) const
	{
		return root + "/" + file;
	}
	std::string read(const std::string &file) const
	{
		std::ifstream in(path(file));
		std::stringstream content;

		content << in.rdbuf();
		return content.str();
	}
	size_t files() const
	{
		return std::distance(fs::directory_iterator(root), {});
	}
	static void write(const struct whole_file &f, const char *text)
	{
		EXPECT_EQ(::write(f.fd, text, strlen(text)), ssize_t(strlen(text)));
	}

	std::string root;
	struct whole_file f;
};

TEST_F(WholeFile, TheOldOneIsThereUntilTheNewOneIs)
{
	for (const char *text : {"first", "second"}) {
		std::string before = read("x");

		ASSERT_EQ(whole_file_open(&f, path("x").c_str()), 0);
		write(f, text);
		EXPECT_EQ(read("x"), before);
		EXPECT_EQ(whole_file_close(&f, 0), 0);
		EXPECT_EQ(read("x"), text);
		EXPECT_EQ(files(), 1u);
	}
}

TEST_F(WholeFile, WhatCouldNotBeWrittenTakesNoPlace)
{
	std::ofstream(path("x")) << "before";
	ASSERT_EQ(whole_file_open(&f, path("x").c_str()), 0);
	write(f, "half of");
	EXPECT_EQ(whole_file_close(&f, ENOSPC), ENOSPC);
	EXPECT_EQ(read("x"), "before");
	EXPECT_EQ(files(), 1u);
}

TEST_F(WholeFile, APipeStaysOne)
{
	ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
	int reader = open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
	char text[8] = "";

	ASSERT_EQ(whole_file_open(&f, path("pipe").c_str()), 0);
	write(f, "here");
	EXPECT_EQ(::read(reader, text, sizeof text), 4);
	EXPECT_EQ(whole_file_close(&f, 0), 0);
	EXPECT_TRUE(fs::is_fifo(path("pipe")));
	close(reader);
}

TEST_F(WholeFile, ALinkStaysOne)
{
	std::ofstream(path("x")) << "before";
	fs::create_symlink("x", path("link"));
	ASSERT_EQ(whole_file_open(&f, path("link").c_str()), 0);
	write(f, "after");
	EXPECT_EQ(whole_file_close(&f, 0), 0);
	EXPECT_TRUE(fs::is_symlink(path("link")));
	EXPECT_EQ(read("x"), "after");
}

TEST_F(WholeFile, SaysWhyItCannotBe)
{
	EXPECT_EQ(whole_file_open(&f, path("none/x").c_str()), ENOENT);
	EXPECT_EQ(whole_file_open(&f, root.c_str()), EISDIR);
	EXPECT_EQ(whole_file_open(&f, std::string(2000, 'x').c_str()), ENAMETOOLONG);
	// A name that is as long as names may be has no room for more.
	std::string longest(255, 'x');
	ASSERT_EQ(whole_file_open(&f, path(longest).c_str()), 0);
	write(f, "in place");
	EXPECT_EQ(whole_file_close(&f, 0), 0);
	EXPECT_EQ(read(longest), "in place");
}

} // namespace
