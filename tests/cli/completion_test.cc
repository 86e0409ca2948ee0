// What bash offers after a part of a command line.
#include "support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace
{

// `words` is the command line as readline cuts it, the last word being the one to complete.
// compopt works in a real completion only.  bash-completion reads the file inside a function.
std::vector<std::string> completions(const Words &words)
{
	Words args = {"-c",
	              "compopt() { echo \"compopt $*\"; }; load() { source \"$1\"; }; load \"$1\"; "
	              "shift; COMP_WORDS=(\"$@\");"
	              "COMP_CWORD=$(($# - 1)); _unsplit; printf '%s\\n' \"${COMPREPLY[@]}\"",
	              "bash", setting("UNSPLIT_DOCUMENTS") + "/unsplit.bash"};
	std::vector<std::string> lines;

	args.insert(args.end(), words.begin(), words.end());
	Outcome o = run_program("/bin/bash", args);
	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, "");
	std::istringstream out(o.out);
	for (std::string line; std::getline(out, line);)
		if (!line.empty())
			lines.push_back(line);
	return lines;
}

bool offered(const Words &words, const std::string &completion)
{
	auto all = completions(words);

	return std::find(all.begin(), all.end(), completion) != all.end();
}

using Lines = std::vector<std::string>;

TEST(Completion, OffersSubcommands)
{
	EXPECT_EQ(completions({"unsplit", "opt"}), Lines{"options"});
	EXPECT_TRUE(offered({"unsplit", ""}, "doctor"));
	EXPECT_EQ(completions({"unsplit", "--v"}), Lines{"--version"});
	EXPECT_EQ(completions({"unsplit", "help", "ru"}), Lines{"run"});
	EXPECT_EQ(completions({"unsplit", "xyz"}), Lines{});
}

TEST(Completion, OffersOptions)
{
	EXPECT_EQ(completions({"unsplit", "run", "--rel"}),
	          (Lines{"compopt -o nospace", "--release="}));
	EXPECT_EQ(completions({"unsplit", "run", "--dr"}), Lines{"--dry-run"});
	EXPECT_TRUE(offered({"unsplit", "run", "--huge=on", "--"}, "--huge_after="));
	EXPECT_EQ(completions({"unsplit", "doctor", "--h"}), Lines{"--help"});
}

TEST(Completion, OffersValues)
{
	EXPECT_EQ(completions({"unsplit", "run", "--release", "="}),
	          (Lines{"keep", "balanced", "tight"}));
	EXPECT_EQ(completions({"unsplit", "run", "--release", "=", "t"}), Lines{"tight"});
	EXPECT_EQ(completions({"unsplit", "run", "--background", "=", "a"}), Lines{"auto"});
	EXPECT_EQ(completions({"unsplit", "run", "--delay", "=", "1"}), Lines{});
	EXPECT_EQ(completions({"unsplit", "run", "--lib", ""}), Lines{"compopt -o default"});
}

// Behind the options comes a program, and the rest is its own.
TEST(Completion, OffersPrograms)
{
	EXPECT_TRUE(offered({"unsplit", "run", "bas"}, "bash"));
	EXPECT_TRUE(offered({"unsplit", "run", "--", "bas"}, "bash"));
	EXPECT_TRUE(offered({"unsplit", "run", "--release", "=", "keep", "bas"}, "bash"));
	EXPECT_TRUE(offered({"unsplit", "run", "--lib", "x.so", "bas"}, "bash"));
	EXPECT_TRUE(offered({"unsplit", "doctor", "--", "bas"}, "bash"));
	EXPECT_EQ(completions({"unsplit", "run", "bash", "--rel"}), Lines{"compopt -o default"});
}

} // namespace
