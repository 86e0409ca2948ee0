// `unsplit check`: what it says of a rule file, and of a command that runs under it.
#include "support.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <unistd.h>

namespace fs = std::filesystem;

namespace
{

const char *const two_rules = "[site hot table]\n"
			      "function = no_such_*\n"
			      "size = >= 1M\n"
			      "kind = mmap, malloc\n"
			      "node = preferred 1\n"
			      "\n"
			      "[site cold]\n"
			      "function = none\n"
			      "pages = base\n";

class Check : public testing::Test
{
      protected:
	Outcome check(const std::string &content, Words more = {}, const Environment &env = {})
	{
		more.insert(more.begin(), {"check", d.write("rules.ini", content)});
		return unsplit(more, env);
	}
	// A complaint about the file.
	std::string complaint(const std::string &text)
	{
		return "unsplit: " + d.path("rules.ini") + text + "\n";
	}

	Directory d;
};

// What a process in `unsplit check` may leave: its report.
std::string report(const std::string &name, const std::string &rows)
{
	return "conf=${UNSPLIT_CONF##*report:}; cat >\"${conf%/*}/" + name +
	       ".json\" <<'END'\n{\n  \"version\": 1,\n  \"rules\": [\n" + rows +
	       "\n  ],\n  \"other\": [\n    {\n      \"line\": 1,\n      \"count\": 7\n    }\n"
	       "  ]\n}\nEND\n";
}

std::string row(int line, int count, int bytes)
{
	return "    {\n      \"title\": \"t\",\n      \"line\": " + std::to_string(line) +
	       ",\n      \"count\": " + std::to_string(count) +
	       ",\n      \"bytes\": " + std::to_string(bytes) + "\n    }";
}

// The directory of the reports, as a command that printed its UNSPLIT_CONF saw it.
std::string reports_in(const std::string &out)
{
	const std::string key = ",report:", end = "/%p.json,report_every:1s\n";
	size_t start = out.rfind(key);

	EXPECT_NE(start, std::string::npos) << out;
	return out.substr(start + key.size(), out.find(end) - start - key.size());
}

} // namespace

TEST_F(Check, PrintsEachRuleAsItIsUnderstood)
{
	Outcome o = check(two_rules);

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, "");
	EXPECT_EQ(o.out, " LINE  RULE       WHAT IS UNDERSTOOD\n"
	                 "    1  hot table  function = no_such_*, size = >=1M, kind = malloc,mmap: "
	                 "node = preferred 1\n"
	                 "    7  cold       function = none: pages = base\n");
	EXPECT_EQ(check("[site s]").out, " LINE  RULE  WHAT IS UNDERSTOOD\n"
	                                 "    1  s     always: nothing is changed\n");
}

TEST_F(Check, TellsEveryMistakeWithItsPlace)
{
	Outcome o = check("[site s]\npages = hug\n[sites t]\n");

	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.out, "");
	EXPECT_EQ(o.err, complaint(":2:9: wrong value of pages (\"hug\"); accepted: huge, base or "
	                           "default; did you mean \"huge\"?") +
	                         complaint(":3:2: not a section (\"sites\"); accepted: [site NAME] "
	                                   "or [plan NAME]; "
	                                   "did you mean \"site\"?"));
	// With a command, too, which is not run then.
	o = check("pages = huge\n", {"--", "touch", d.path("made")});
	EXPECT_EQ(o.status, 2);
	EXPECT_FALSE(fs::exists(d.path("made")));
}

TEST_F(Check, SaysWhichRulesAreNeverTried)
{
	Outcome o = check("[site a]\nsize = 1M\n[site b]\n[site c]\nsize = 1M\n");

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err,
	          complaint(":3: the rules below \"b\" are never tried, because it holds always"));
	EXPECT_EQ(check("[site a]\nsize = 1M\n[site b]\n").err, "");
}

TEST_F(Check, AFileWithoutRules)
{
	Outcome o = check("# nothing\n");

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, complaint(" has no rules"));
}

TEST_F(Check, RefusesWhatItDoesNotUnderstand)
{
	Outcome o = unsplit({"check"});

	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.err, "unsplit: check needs a rule file; \"unsplit help check\" tells more\n");
	o = unsplit({"check", "--", "true"});
	EXPECT_EQ(o.status, 2);
	o = check(two_rules, {"-x"});
	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.err, "unsplit: option \"-x\" is not known; check has none\n");
	o = unsplit({"check", d.path("nothing")});
	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.err, "unsplit: " + d.path("nothing") +
	                         ": cannot be read: No such file or directory\n");
}

TEST_F(Check, ACommandRunsUnderTheRules)
{
	const std::string decided = "What the rules decided in 1 process:\n"
				    " LINE  RULE           REQUESTS        IN ALL\n"
				    "    1  hot table             0       0 bytes\n"
				    "    7  cold                  0       0 bytes\n"
				    "Rule \"hot table\" decided nothing.\n"
				    "Rule \"cold\" decided nothing.\n";
	Outcome o = check(two_rules, {"--", "printenv", "UNSPLIT_CONF"},
	                  {{"UNSPLIT_CONF", "report:/nowhere/x,delay:5"}});

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, "");
	EXPECT_EQ(o.out, "report:/nowhere/x,delay:5,rules:" + d.path("rules.ini") + ",report:" +
	                         reports_in(o.out) + "/%p.json,report_every:1s\n" + decided);
	EXPECT_EQ(check(two_rules, {"true"}).out, decided) << "-- may be left out";
}

TEST_F(Check, CountsWhatEachRuleDecides)
{
	const char *file = "[site table]\ncaller = table_*\nsize = >=1M\n"
			   "[site other]\nmodule = allocate\nsize = >=1M\n"
			   "[site too late]\nfunction = main\nsize = >=1M\n";
	std::string program = setting("UNSPLIT_TEST_PROGRAMS") + "/allocate";
	Outcome o = check(file, {"--", program});

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, "");
	EXPECT_EQ(o.out, "What the rules decided in 1 process:\n"
	                 " LINE  RULE          REQUESTS        IN ALL\n"
	                 "    1  table               10        30 MiB\n"
	                 "    4  other                1         1 MiB\n"
	                 "    7  too late             0       0 bytes\n"
	                 "Rule \"too late\" decided nothing.\n");
	// Twice the same in two processes is twice as much.
	o = check(file, {"--", "sh", "-c", program + "; " + program + "; :"});
	EXPECT_NE(o.out.find("    1  table               20        60 MiB\n"), std::string::npos)
		<< o.out;
}

TEST_F(Check, AddsUpWhatItsProcessesReport)
{
	std::string script = report("a", row(1, 3, 3072) + ",\n" + row(7, 0, 0)) +
	                     report("b", row(7, 1, 100) + ",\n" + row(1, 2, 1024)) +
	                     report("c", row(99, 5, 5));
	Outcome o = check(two_rules, {"--", "/bin/sh", "-c", script});

	EXPECT_EQ(o.status, 0) << o.err;
	// Three made-up reports, those of cat, which made them, and the shell's own.
	EXPECT_EQ(o.out, "What the rules decided in 7 processes:\n"
	                 " LINE  RULE           REQUESTS        IN ALL\n"
	                 "    1  hot table             5         4 KiB\n"
	                 "    7  cold                  1     100 bytes\n");
}

TEST_F(Check, ReportsOfAnyShapeAreSurvived)
{
	std::string script =
		"conf=${UNSPLIT_CONF##*report:}; conf=${conf%/*}; "
		"head -c 100000 /dev/urandom >$conf/a; printf '  \"rules\": [\\n' >$conf/b;"
		"head -c 2000 /dev/zero >>$conf/b; : >$conf/c";

	EXPECT_EQ(check(two_rules, {"sh", "-c", script}).status, 0);
}

TEST_F(Check, KeepsTheStatusOfTheCommand)
{
	EXPECT_EQ(check(two_rules, {"--", "sh", "-c", "exit 3"}).status, 3);
	Outcome o = check(two_rules, {"--", "sh", "-c", "kill -TERM $$"});
	EXPECT_EQ(o.status, 128 + SIGTERM);
	EXPECT_EQ(o.out.find("What the rules decided in 1 process:\n"), 0u) << "as it was then";
	EXPECT_EQ(o.err, "");
	o = check(two_rules, {"--", setting("UNSPLIT_TEST_PROGRAMS") + "/static_program"});
	EXPECT_EQ(o.out.find("What"), std::string::npos);
	EXPECT_NE(o.err.find("no process left a report"), std::string::npos) << o.err;
	o = check(two_rules, {"--", "no-such-program-anywhere"});
	EXPECT_EQ(o.status, 127);
	EXPECT_EQ(o.err.find("unsplit: \"no-such-program-anywhere\" is not found\n"), 0u);
}

TEST_F(Check, TakesARelativePath)
{
	auto there = [&] { EXPECT_EQ(chdir(d.path().c_str()), 0); };

	d.write("rules.ini", two_rules);
	Outcome o = unsplit(
		{"check", "rules.ini", "sh", "-c", "cd /; /bin/true; /bin/cat /dev/null; :"}, {},
		there);
	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, "");
	EXPECT_EQ(o.out.find("What the rules decided in 3 processes"), 0u) << o.out;
}

TEST_F(Check, LeavesNothingBehind)
{
	std::string script =
		"printenv UNSPLIT_CONF; ls \"$(dirname \"${UNSPLIT_CONF##*report:}\")\"";
	Outcome o = check(two_rules, {"sh", "-c", script});

	EXPECT_NE(o.out.find(".json"), std::string::npos) << o.out;
	EXPECT_FALSE(fs::exists(reports_in(o.out)));
	o = check(two_rules, {"sh", "-c", script + "; kill -KILL $$"});
	EXPECT_FALSE(fs::exists(reports_in(o.out)));
}

// The library reads the same file by the same code.
TEST_F(Check, TheLibrarySaysTheSameOfAWrongFile)
{
	const char *wrong = "[site s]\npages = hug\n\n[site t\n";
	Outcome checked = check(wrong);
	Environment env = {{"LD_PRELOAD", setting("UNSPLIT_LIB")},
	                   {"UNSPLIT_CONF", "rules:" + d.path("rules.ini")}};
	Outcome o = run_program("/bin/echo", {"runs"}, env);

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.out, "runs\n");
	EXPECT_EQ(o.err, checked.err + complaint(": the program runs on without rules"));
	env["UNSPLIT_CONF"] += ",strict:on";
	o = run_program("/bin/echo", {"runs"}, env);
	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.out, "");
	EXPECT_EQ(o.err, checked.err);
	d.write("rules.ini", two_rules);
	o = run_program("/bin/echo", {"runs"}, env);
	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, "");
}
