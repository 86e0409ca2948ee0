// What the command says about itself, and what it says to nonsense.
#include "support.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sstream>
#include <unistd.h>

extern "C" {
#include "options.h"
}

namespace
{

// A mistake in usage: status 2, one line on stderr, nothing on stdout.
void expect_refused(const Words &args, const std::string &line)
{
	Outcome o = unsplit(args);

	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.out, "");
	EXPECT_EQ(o.err, "unsplit: " + line + "\n");
}

TEST(Usage, PrintsItsVersion)
{
	Outcome o = unsplit({"--version"});

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.out, "unsplit " UNSPLIT_VERSION "\n");
}

TEST(Usage, ListsItsSubcommands)
{
	for (const Words &args : {Words{"--help"}, Words{"-h"}, Words{"help"}}) {
		Outcome o = unsplit(args);

		EXPECT_EQ(o.status, 0);
		for (const char *name : {"\n  run ", "\n  check ", "\n  learn ", "\n  doctor ",
		                         "\n  stat ", "\n  top ", "\n  report ", "\n  record ",
		                         "\n  plot ", "\n  trace ", "\n  options ", "\n  help "})
			EXPECT_NE(o.out.find(name), std::string::npos) << name;
		EXPECT_EQ(o.err, "");
	}
}

TEST(Usage, ExplainsEachSubcommand)
{
	for (const char *name : {"run", "check", "learn", "doctor", "stat", "top", "report",
	                         "record", "plot", "trace", "options", "help"}) {
		Outcome o = unsplit({"help", name});

		EXPECT_EQ(o.status, 0);
		EXPECT_EQ(o.out.find(std::string("Usage: unsplit ") + name), 0u) << o.out;
		EXPECT_EQ(unsplit({name, "--help"}).out, o.out);
	}
}

TEST(Usage, RefusesUnknownSubcommands)
{
	expect_refused({}, "no subcommand given; \"unsplit --help\" lists them");
	expect_refused({"rn"}, "subcommand \"rn\" is not known; did you mean \"run\"?");
	expect_refused({"docter"}, "subcommand \"docter\" is not known; did you mean \"doctor\"?");
	expect_refused({"help", "optoins"},
	               "subcommand \"optoins\" is not known; did you mean \"options\"?");
	expect_refused({"frobnicate"},
	               "subcommand \"frobnicate\" is not known; \"unsplit --help\" lists all");
	expect_refused({"options", "huge"}, "options takes no argument \"huge\"");
}

TEST(Usage, ListsEveryOptionWithValuesDefaultAndHelp)
{
	Outcome o = unsplit({"options"}), run = unsplit({"help", "run"});
	std::string all = flat(o.out);

	EXPECT_EQ(o.status, 0);
	for (const char *name : {
#define NAME(name)                "\n  " #name "\n",
#define OPTION_BOOL(name, ...)    NAME(name)
#define OPTION_SIZE(name, ...)    NAME(name)
#define OPTION_PERCENT(name, ...) NAME(name)
#define OPTION_NUMBER(name, ...)  NAME(name)
#define OPTION_MS(name, ...)      NAME(name)
#define OPTION_ENUM(name, ...)    NAME(name)
#define OPTION_TEXT(name, ...)    NAME(name)
#include "options.def"
	     })
		EXPECT_NE(("\n" + o.out).find(name), std::string::npos) << name;
	EXPECT_NE(all.find("(a size from 0 to 1024G, such as 64K or 1M; default 1M)"),
	          std::string::npos);
	EXPECT_NE(all.find("release how freed memory goes back"), std::string::npos);
	EXPECT_NE(all.find("(keep, balanced or tight; default balanced)"), std::string::npos);
	EXPECT_NE(run.out.find("\n  --huge_after\n"), std::string::npos);
}

TEST(Usage, FitsIntoEightyColumns)
{
	for (const Words &args :
	     {Words{"--help"}, Words{"options"}, Words{"help", "run"}, Words{"help", "doctor"},
	      Words{"help", "options"}, Words{"help", "check"}, Words{"help", "stat"},
	      Words{"help", "top"}, Words{"help", "report"}, Words{"help", "record"},
	      Words{"help", "plot"}, Words{"help", "trace"}}) {
		std::istringstream lines(unsplit(args).out);

		for (std::string line; std::getline(lines, line);)
			EXPECT_LT(line.size(), 80u) << line;
	}
}

TEST(Usage, FailsIfItsOutputIsLost)
{
	Outcome o =
		unsplit({"options"}, {}, [] { dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO); });

	EXPECT_EQ(o.status, 1);
	EXPECT_EQ(o.err, "unsplit: cannot write to standard output\n");
}

} // namespace
