// `unsplit learn`: the rules that it writes for a program with a dense table and a sparse buffer,
// and what they change.
#include "support.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace
{

std::string program()
{
	return setting("UNSPLIT_TEST_PROGRAMS") + "/dense_sparse";
}

// How big both are, in MiB: CTest runs a big variant as well.
std::string mebibytes()
{
	const char *given = getenv("LEARN_MEBIBYTES");

	return given ? given : "64";
}

std::string read(const std::string &path)
{
	std::ifstream file(path);
	std::stringstream content;

	content << file.rdbuf();
	return content.str();
}

// A number behind `"key": `, the first one after `place`.
unsigned long number(const std::string &json, const std::string &place, const std::string &key)
{
	size_t at = json.find("\"" + key + "\": ", json.find(place));

	EXPECT_NE(at, std::string::npos) << place << " " << key << "\n" << json;
	return at == std::string::npos ? 0 : std::stoul(json.substr(at + key.size() + 4));
}

struct Figures {
	unsigned long table = 0, table_huge = 0, buffer = 0, buffer_huge = 0; // KiB
};

Figures figures(const std::string &out)
{
	Figures f;

	EXPECT_EQ(sscanf(out.c_str(), "table: %lu huge %lu\nbuffer: %lu huge %lu\n", &f.table,
	                 &f.table_huge, &f.buffer, &f.buffer_huge),
	          4)
		<< out;
	return f;
}

class Learn : public testing::TestWithParam<const char *>
{
      protected:
	Words command(const std::string &size) const
	{
		Words words = {"--", program(), size};

		if (*GetParam())
			words.push_back(GetParam());
		return words;
	}
	Outcome with(Words words, const std::string &size) const
	{
		Words rest = command(size);

		words.insert(words.end(), rest.begin(), rest.end());
		return unsplit(words);
	}
	Outcome learn(const std::string &size = mebibytes(), const std::string &name = "")
	{
		return with({"learn", "-o", rules(name), "--profile", profile(name)}, size);
	}
	std::string rules(const std::string &name = "") const
	{
		return d.path(name + "rules.ini");
	}
	std::string profile(const std::string &name = "") const
	{
		return d.path(name + "profile.json");
	}

	Directory d;
};

TEST_P(Learn, WritesRulesThatTellTableAndBufferApart)
{
	unsigned long kib = std::stoul(mebibytes()) << 10;
	Outcome o = learn();

	ASSERT_EQ(o.status, 0) << o.err;
	EXPECT_EQ(o.err, "");
	EXPECT_EQ(figures(o.out).table_huge + figures(o.out).buffer_huge, 0u) << o.out;
	EXPECT_EQ(figures(o.out).buffer, kib / 16) << o.out;

	Figures without = figures(with({"run"}, mebibytes()).out);
	EXPECT_EQ(without.buffer, kib) << "all huge, so the rest of the test shows nothing";
	o = with({"run", "--rules=" + rules()}, mebibytes());
	ASSERT_EQ(o.err, "");
	Figures f = figures(o.out);
	EXPECT_GE(f.table, kib);
	EXPECT_GE(f.table_huge * 100, kib * 98) << o.out;
	EXPECT_EQ(f.buffer_huge, 0u) << o.out;
	EXPECT_LE(f.buffer, kib / 8) << o.out;
}

TEST_P(Learn, MeasuresBytesAndPages)
{
	unsigned long bytes = std::stoul(mebibytes()) << 20;

	ASSERT_EQ(learn().status, 0);
	std::string json = read(profile());
	EXPECT_EQ(number(json, "dense_table", "requests"), 1u);
	EXPECT_EQ(number(json, "dense_table", "peak"), bytes);
	EXPECT_EQ(number(json, "dense_table", "room"), bytes);
	EXPECT_EQ(number(json, "dense_table", "touched"), bytes);
	EXPECT_EQ(number(json, "sparse_buffer", "room"), bytes);
	EXPECT_EQ(number(json, "sparse_buffer", "touched"), bytes / 16);
}

TEST_P(Learn, SitesAreTheSameInEachRunAndMerge)
{
	ASSERT_EQ(learn("32", "one ").status, 0);
	ASSERT_EQ(learn("64", "other ").status, 0);
	Outcome o = unsplit({"learn", "-o", rules(), "--profile", profile(), "--merge",
	                     profile("one "), profile("other ")});

	ASSERT_EQ(o.status, 0) << o.err;
	std::string json = read(profile());
	EXPECT_EQ(number(json, "dense_table", "requests"), 2u);
	EXPECT_EQ(number(json, "dense_table", "bytes"), 96ul << 20);
	EXPECT_EQ(number(json, "dense_table", "peak"), 64ul << 20);
	EXPECT_EQ(number(json, "sparse_buffer", "touched"), 6ul << 20);
	EXPECT_EQ(json.find("dense_table", json.find("dense_table") + 1), std::string::npos);
	// The rules of two profiles are those of one, but for the figures.
	EXPECT_NE(read(rules()).find("from 2 profiles"), std::string::npos);
	EXPECT_EQ(unsplit({"check", rules()}).status, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Learn, testing::Values("", "mmap"),
                         [](const testing::TestParamInfo<const char *> &info) {
				 return std::string(*info.param ? "Mapped" : "Allocated");
			 });

// ---- however it ends ----

class Ending : public testing::TestWithParam<const char *>
{
      protected:
	int status() const
	{
		return atoi(GetParam()) ? 128 + atoi(GetParam()) : 3;
	}

	std::string program = setting("UNSPLIT_TEST_PROGRAMS") + "/ending";
	Directory d;
};

TEST_P(Ending, LeavesAProfile)
{
	Outcome o = unsplit({"learn", "-o", d.path("rules.ini"), "--profile", d.path("p.json"),
	                     "--", program, GetParam()});
	std::string json = read(d.path("p.json"));

	EXPECT_EQ(o.status, status()) << o.err;
	EXPECT_EQ(o.err, "");
	EXPECT_EQ(number(json, "ending_block", "requests"), 1u);
	EXPECT_EQ(number(json, "ending_block", "touched"), 8ul << 20);
	EXPECT_NE(read(d.path("rules.ini")).find("from 1 profile"), std::string::npos);
}

TEST_P(Ending, LeavesAReport)
{
	std::string rules = d.write("rules.ini", "[site block]\ncaller = ending_block\n"
	                                         "pages = base\n");
	Outcome o = unsplit({"check", rules, "--", program, GetParam()});

	EXPECT_EQ(o.status, status()) << o.err;
	EXPECT_NE(o.out.find("in 1 process:"), std::string::npos) << o.out;
	EXPECT_NE(o.out.find("    1  block             1         8 MiB"), std::string::npos)
		<< o.out;
}

INSTANTIATE_TEST_SUITE_P(Ways, Ending,
                         testing::Values("exit", "_exit", "_Exit", "quick_exit", "vfork",
                                         "raw-fork", "15", "2", "9"),
                         [](const testing::TestParamInfo<const char *> &info) {
				 std::string name = info.param;

				 for (char &c : name)
					 c = c == '-' ? '_' : c;
				 return isdigit(name[0]) ? "Signal" + name : name;
			 });

// In the middle of a call of the heap what is there is older, but whole.
TEST(LearnEnding, InAHandler)
{
	Directory d;
	Outcome o = unsplit({"learn", "-o", d.path("rules.ini"), "--profile", d.path("p.json"),
	                     "--", setting("UNSPLIT_TEST_PROGRAMS") + "/ending", "handler"});

	EXPECT_EQ(o.status, 3) << o.err;
	EXPECT_EQ(o.err, "");
	EXPECT_NE(read(d.path("rules.ini")).find("from 1 profile"), std::string::npos);
}

// The keeper is gone in a child, and comes back for this.
TEST(LearnEnding, AChildThatIsKilledLeavesOneToo)
{
	Directory d;
	Outcome o = unsplit({"learn", "-o", d.path("rules.ini"), "--profile", d.path("p.json"),
	                     "--", setting("UNSPLIT_TEST_PROGRAMS") + "/ending", "fork-killed"});
	std::string json = read(d.path("p.json"));

	EXPECT_EQ(o.status, 3) << o.err;
	EXPECT_EQ(number(json, "child_block", "requests"), 2u);
	EXPECT_EQ(number(json, "ending_block", "requests"), 1u);
	EXPECT_NE(read(d.path("rules.ini")).find("from 2 profiles"), std::string::npos);
}

class LearnFork : public testing::Test
{
      protected:
	// Preloaded, with one path for all; returns the child's process id.
	std::string run(const std::string &how)
	{
		Outcome o = run_program(setting("UNSPLIT_TEST_PROGRAMS") + "/ending", {how},
		                        {{"LD_PRELOAD", setting("UNSPLIT_LIB")},
		                         {"UNSPLIT_CONF", "learn:" + path}});

		EXPECT_EQ(o.status, 3) << o.err;
		EXPECT_EQ(o.err, "");
		return o.out.substr(0, o.out.find('\n'));
	}

	Directory d;
	std::string path = d.path("profile.json");
};

TEST_F(LearnFork, AChildHasAProfileOfItsOwn)
{
	std::string child = run("fork"), parent = read(path), own = read(path + "." + child);

	EXPECT_EQ(number(parent, "ending_block", "requests"), 1u);
	EXPECT_EQ(number(parent, "ending_block", "touched"), 8ul << 20);
	EXPECT_EQ(parent.find("child_block"), std::string::npos) << parent;
	EXPECT_EQ(number(own, "child_block", "requests"), 2u);
	EXPECT_EQ(number(own, "child_block", "touched"), 8ul << 20);
	EXPECT_EQ(own.find("ending_block"), std::string::npos) << own;
}

TEST_F(LearnFork, AChildOfNoHandlerHasNone)
{
	run("raw-fork");
	EXPECT_EQ(number(read(path), "ending_block", "requests"), 1u);
	EXPECT_EQ(std::distance(std::filesystem::directory_iterator(d.path()), {}), 1);
}

void expect_refused(const Words &args, const std::string &line)
{
	Outcome o = unsplit(args);

	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.err, "unsplit: " + line + "\n");
}

TEST(LearnUsage, RefusesWhatItCannotDo)
{
	Directory d;
	std::string other = d.write("other.json", "{\n  \"profile\": 99,\n  \"sites\": []\n}\n");

	expect_refused({"learn", "true"},
	               "learn needs -o FILE, where the rules are written to, or --profile FILE");
	expect_refused({"learn", "-o"},
	               "option -o has no value, which would be the path of a file");
	expect_refused({"learn", "--twice", "true"},
	               "option \"--twice\" is not known; learn has -o, --profile and --merge");
	expect_refused({"learn", "-o", "-", "--merge", d.path("none")},
	               d.path("none") + ": No such file or directory");
	expect_refused({"learn", "-o", "-", "--merge", other},
	               other + " is no profile that this version of \"unsplit learn --profile\" "
	                       "wrote");
}

TEST(LearnUsage, KeepsTheStatusAndLeavesNothing)
{
	std::string other = setting("UNSPLIT_TEST_PROGRAMS") + "/allocate";
	Outcome o = unsplit({"learn", "-o", "-", "--", "/bin/sh", "-c",
	                     "echo \"${UNSPLIT_CONF#*learn:}\"; " + other + "; exit 7"});
	std::string directory = o.out.substr(0, o.out.find("/%p.json"));

	EXPECT_EQ(o.status, 7);
	EXPECT_EQ(directory.find("/tmp/unsplit-trial-"), 0u) << o.out;
	EXPECT_FALSE(std::ifstream(directory).good());
	EXPECT_NE(o.out.find("\n# 10 requests, 3.0 MiB at once"), std::string::npos) << o.out;
}

TEST(LearnUsage, SaysThatNobodyLeftAProfile)
{
	Outcome o = unsplit(
		{"learn", "-o", "-", "--", setting("UNSPLIT_TEST_PROGRAMS") + "/static_program"});

	EXPECT_NE(o.status, 0);
	EXPECT_NE(o.err.find("no process left a profile"), std::string::npos) << o.err;
}

} // namespace
