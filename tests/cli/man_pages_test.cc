// The man pages name every command, option, statistic and function, and groff takes them.
#include "support.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace
{

std::string content(const std::string &path)
{
	std::ifstream file(path);
	std::stringstream all;

	all << file.rdbuf();
	EXPECT_TRUE(file.good()) << path;
	return all.str();
}

std::string page(const std::string &name)
{
	return setting("UNSPLIT_DOCUMENTS") + "/" + name;
}

std::set<std::string> found(const std::string &text, const std::string &pattern)
{
	std::set<std::string> names;
	std::regex re(pattern, std::regex::multiline);

	for (std::sregex_iterator i(text.begin(), text.end(), re), end; i != end; ++i)
		names.insert((*i)[1]);
	return names;
}

std::string section(const std::string &text, const std::string &name)
{
	size_t start = text.find("\n.SH " + name + "\n");
	size_t end = text.find("\n.SH ", start + 1);

	EXPECT_NE(start, std::string::npos) << name;
	return text.substr(start, end - start);
}

// What the entries of the list in a section are called.
std::set<std::string> entries(const std::string &text, const std::string &name)
{
	return found(section(text, name), "^\\.TP\n\\.B ([a-z_]+)$");
}

TEST(ManPages, ExplainEveryOption)
{
	std::set<std::string> options = {
#define OPTION_BOOL(name, ...)    #name,
#define OPTION_SIZE(name, ...)    #name,
#define OPTION_PERCENT(name, ...) #name,
#define OPTION_NUMBER(name, ...)  #name,
#define OPTION_MS(name, ...)      #name,
#define OPTION_ENUM(name, ...)    #name,
#define OPTION_TEXT(name, ...)    #name,
#include "options.def"
	};

	EXPECT_EQ(entries(content(page("unsplit.conf.5")), "OPTIONS"), options);
}

TEST(ManPages, ExplainEverySubcommand)
{
	std::set<std::string> commands = found(unsplit({"--help"}).out, "^  ([a-z]+)  +[a-z]");

	EXPECT_GE(commands.size(), 4u);
	EXPECT_EQ(found(content(page("unsplit.1")), "^\\.SS ([a-z]+)$"), commands);
}

TEST(ManPages, ExplainEveryStatistic)
{
	std::set<std::string> statistics = {
#define STAT(name, ...) #name,
#include "report/stats.def"
	};

	EXPECT_EQ(entries(content(page("libunsplit.3")), "STATISTICS"), statistics);
}

TEST(ManPages, ExplainEveryFunction)
{
	std::set<std::string> declared =
		found(content(setting("UNSPLIT_HEADER")), "(unsplit_[a-z_]+)\\([^)]*\\);");
	std::string text = content(page("libunsplit.3"));

	EXPECT_GE(declared.size(), 3u);
	EXPECT_EQ(found(section(text, "SYNOPSIS"), "[ *](unsplit_[a-z_]+)\\("), declared);
	EXPECT_EQ(found(text, "^\\.BR (unsplit_[a-z_]+) \\(\\)$"), declared) << "explained";
}

// groff says nothing of a good page, and something of a bad one.
std::string groff_says(const std::string &path)
{
	Outcome o = run_program("/usr/bin/groff", {"-man", "-ww", "-z", "-Tutf8", path});

	return o.status ? "status " + std::to_string(o.status) + ": " + o.err : o.err;
}

TEST(ManPages, AreTakenByGroff)
{
	for (const char *name : {"unsplit.1", "unsplit.conf.5", "libunsplit.3"}) {
		EXPECT_EQ(groff_says(page(name)), "") << name;
		EXPECT_EQ(content(page(name)).find('@'), std::string::npos)
			<< name << ": everything was filled in";
	}
}

TEST(ManPages, GroffNoticesMistakes)
{
	Directory d;

	EXPECT_NE(groff_says(d.write("bad.1", ".TH BAD 1\n.NOTAMACRO\n")), "");
}

// A usage text goes through as it is, whatever is in it.
TEST(ManPages, ShowTheUsageOfCommands)
{
	Outcome o =
		run_program("/usr/bin/groff", {"-man", "-Tascii", "-P-cbou", page("unsplit.1")});
	std::string text = flat(o.out);

	for (const char *part :
	     {"unsplit run [OPTION...] [--] COMMAND [ARGUMENT...]", "--lib PATH preload this",
	      "unsplit doctor [--json] [-- COMMAND [ARGUMENT...]]", "are those of unsplit.conf(5)."})
		EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
}

TEST(ManPages, DocumentTakesOnlyItsTables)
{
	for (const Words &args : {Words{"--document"}, Words{"--document", "weather"}}) {
		Outcome o = unsplit(args);

		EXPECT_EQ(o.status, 2);
		EXPECT_EQ(o.out, "");
		EXPECT_EQ(o.err, "unsplit: --document takes commands, options, statistics or "
		                 "completion\n");
	}
}

} // namespace
