// `unsplit run`: what the program that it starts gets, and what its caller gets back.
#include "support.h"

#include <gtest/gtest.h>

#include <csignal>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace fs = std::filesystem;

namespace
{

std::string library()
{
	return setting("UNSPLIT_LIB");
}

std::string program(const char *name)
{
	return setting("UNSPLIT_TEST_PROGRAMS") + "/" + name;
}

// What `unsplit run --dry-run ARGS...` prints, without the newline.
std::string dry(Words args, const Environment &env = {})
{
	args.insert(args.begin(), {"run", "--dry-run"});
	Outcome o = unsplit(args, env);

	EXPECT_EQ(o.status, 0) << o.err;
	EXPECT_EQ(o.out.back(), '\n');
	return o.out.substr(0, o.out.size() - 1);
}

void expect_refused(Words args, const std::string &line)
{
	args.insert(args.begin(), "run");
	Outcome o = unsplit(args);

	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.out, "");
	EXPECT_EQ(o.err, "unsplit: " + line + "\n");
}

// What a program started by `unsplit run` finds in its environment.
std::string seen(const char *variable, Words options, const Environment &env = {})
{
	options.insert(options.begin(), "run");
	options.insert(options.end(),
	               {"--", "/bin/sh", "-c", std::string("echo \"${") + variable + "-unset}\""});
	Outcome o = unsplit(options, env);

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.err, "");
	return flat(o.out);
}

TEST(RunDry, PrintsTheWholeCommandLine)
{
	EXPECT_EQ(dry({"--", "ls", "-l"}), "env LD_PRELOAD=" + library() + " ls -l");
	EXPECT_EQ(dry({"ls", "--delay=1s"}), "env LD_PRELOAD=" + library() + " ls --delay=1s");
	EXPECT_EQ(dry({"--huge=off", "--delay=2s", "ls"}),
	          "env LD_PRELOAD=" + library() + " UNSPLIT_CONF=huge:off,delay:2s ls");
}

TEST(RunDry, QuotesForTheShell)
{
	EXPECT_EQ(dry({"--report=/tmp/a b.%p", "echo", "it's", "", "$HOME", "a=b,c:d@e%f+g"}),
	          "env LD_PRELOAD=" + library() +
	                  " UNSPLIT_CONF='report:/tmp/a b.%p' echo 'it'\\''s' '' '$HOME' "
	                  "a=b,c:d@e%f+g");
}

// The printed line is not only pretty: a shell that runs it does what `run` would have done.
TEST(RunDry, PrintsWhatAShellCanRun)
{
	std::string line = dry({"--report=/tmp/it's here", "--", "/bin/sh", "-c",
	                        "echo \"$UNSPLIT_CONF|$LD_PRELOAD|$1\"", "sh", "a  'b'"});
	Outcome o = run_program("/bin/sh", {"-c", "UNSPLIT_CONF=; " + line});

	EXPECT_EQ(o.out, "report:/tmp/it's here|" + library() + "|a  'b'\n");
}

TEST(RunDry, StartsNothing)
{
	Directory d;

	dry({"--", "touch", d.path("made")});
	EXPECT_FALSE(fs::exists(d.path("made")));
	EXPECT_EQ(unsplit({"run", "--", "touch", d.path("made")}).status, 0);
	EXPECT_TRUE(fs::exists(d.path("made")));
}

TEST(Run, KeepsTheExitStatus)
{
	EXPECT_EQ(unsplit({"run", "true"}).status, 0);
	EXPECT_EQ(unsplit({"run", "--", "sh", "-c", "exit 3"}).status, 3);
	EXPECT_EQ(unsplit({"run", "--", "sh", "-c", "kill -TERM $$"}).signal, SIGTERM);
	EXPECT_EQ(unsplit({"run", "--", "sh", "-c", "kill -KILL $$"}).signal, SIGKILL);
}

TEST(Run, PassesArgumentsAndOutputThrough)
{
	Outcome o = unsplit({"run", "--", "sh", "-c", "printf '<%s>' \"$@\"; echo e >&2", "sh",
	                     "a b", "", "--", "--huge=off"});

	EXPECT_EQ(o.out, "<a b><><--><--huge=off>");
	EXPECT_EQ(o.err, "e\n");
}

TEST(Run, PreloadsTheLibrary)
{
	Outcome o = unsplit({"run", "--", "cat", "/proc/self/maps"});

	EXPECT_NE(o.out.find("/libunsplit.so"), std::string::npos);
	o = run_program("/bin/cat", {"/proc/self/maps"});
	EXPECT_EQ(o.out.find("/libunsplit.so"), std::string::npos) << "the control";
}

TEST(Run, SaysWhatCannotBeStarted)
{
	Directory d;
	std::string plain = d.write("plain", "no program\n");
	Outcome o = unsplit({"run", "--", "no-such-program-anywhere"});

	EXPECT_EQ(o.status, 127);
	EXPECT_EQ(o.err, "unsplit: \"no-such-program-anywhere\" is not found\n");
	// An entry of PATH that is no directory, or may not be searched, changes nothing.
	o = unsplit({"run", "--", "no-such-program-anywhere"}, {{"PATH", plain + ":/bin"}});
	EXPECT_EQ(o.status, 127);
	o = unsplit({"run", "--", "plain"}, {{"PATH", "/bin:" + d.path()}});
	EXPECT_EQ(o.status, 126) << "found, but not executable";
	o = unsplit({"run", plain});
	EXPECT_EQ(o.status, 126);
	EXPECT_EQ(o.err, "unsplit: \"" + plain + "\" cannot be executed: Permission denied\n");
	o = unsplit({"run", d.path()});
	EXPECT_EQ(o.status, 126);
}

TEST(Run, SetsTheOptions)
{
	EXPECT_EQ(seen("UNSPLIT_CONF", {}), "unset");
	EXPECT_EQ(seen("UNSPLIT_CONF", {"--huge-after=64K", "--release=tight"}),
	          "huge_after:64K,release:tight");
	EXPECT_EQ(seen("UNSPLIT_CONF", {"--strict"}), "strict:on");
}

TEST(Run, NamesTheRuleFileFromTheRoot)
{
	Directory d;
	std::string file = d.write("rules.ini", "");
	auto there = [&] { EXPECT_EQ(chdir(d.path().c_str()), 0); };
	auto printed = [&](const std::string &option) {
		Outcome o = unsplit({"run", "--dry-run", option, "ls"}, {}, there);
		return o.out.substr(o.out.find("UNSPLIT_CONF"));
	};

	EXPECT_EQ(printed("--rules=rules.ini"), "UNSPLIT_CONF=rules:" + file + " ls\n");
	EXPECT_EQ(printed("--rules=" + file), "UNSPLIT_CONF=rules:" + file + " ls\n");
	EXPECT_EQ(printed("--rules=nothing"), "UNSPLIT_CONF=rules:nothing ls\n");
	d.write("off", "");
	EXPECT_EQ(printed("--rules=off"), "UNSPLIT_CONF=rules:off ls\n");
}

TEST(Run, AppendsToTheOptionsThatAreThere)
{
	EXPECT_EQ(seen("UNSPLIT_CONF", {}, {{"UNSPLIT_CONF", "delay:5"}}), "delay:5");
	EXPECT_EQ(seen("UNSPLIT_CONF", {"--delay=7"}, {{"UNSPLIT_CONF", "delay:5,huge:off"}}),
	          "delay:5,huge:off,delay:7");
	EXPECT_EQ(seen("UNSPLIT_CONF", {"--delay=7"}, {{"UNSPLIT_CONF", ""}}), "delay:7");
}

TEST(Run, RefusesWrongOptions)
{
	expect_refused({"--huge_aftr=1M", "true"},
	               "option \"huge_aftr\" is not known; did you mean \"huge_after\"?");
	expect_refused({"--delay=12Q", "true"}, "option delay: \"12Q\" is not a time from 0 to "
	                                        "3600s, such as 100ms or 2s");
	expect_refused({"--delay", "true"}, "option delay has no value, which would be a time from "
	                                    "0 to 3600s, such as 100ms or 2s");
	expect_refused({"--report=a,b", "true"},
	               "option report: \"a,b\" is not a text of 1 to 255 bytes without a comma");
	expect_refused({"-x", "true"}, "option \"-x\" is not known; options start with \"--\"");
	expect_refused({"--lib"},
	               "option --lib has no value, which would be the path of a library");
	expect_refused({"--lib=/no/where.so", "true"},
	               "library \"/no/where.so\" cannot be read: No such file or directory");
	expect_refused({}, "run needs a command; \"unsplit help run\" tells more");
	expect_refused({"--strict", "--"}, "run needs a command; \"unsplit help run\" tells more");
}

TEST(RunPreload, KeepsWhatOthersPreload)
{
	EXPECT_EQ(dry({"ls"}, {{"LD_PRELOAD", "/lib/a.so:b.so  c.so:"}}),
	          "env LD_PRELOAD=" + library() + ":/lib/a.so:b.so:c.so ls");
}

TEST(RunPreload, IsThereOnlyOnce)
{
	std::string plain = "env LD_PRELOAD=" + library() + " ls";

	EXPECT_EQ(dry({"ls"}, {{"LD_PRELOAD", library()}}), plain);
	EXPECT_EQ(dry({"ls"}, {{"LD_PRELOAD", "/old/libunsplit.so.0 libunsplit.so"}}), plain);
	EXPECT_EQ(dry({"ls"}, {{"LD_PRELOAD", "/a/libunsplitter/x.so:" + library()}}),
	          "env LD_PRELOAD=" + library() + ":/a/libunsplitter/x.so ls");
	EXPECT_EQ(dry({"--lib=other.so", "ls"}, {{"LD_PRELOAD", "other.so"}}),
	          "env LD_PRELOAD=other.so ls");
}

TEST(RunPreload, TakesTheLibraryThatIsNamed)
{
	Directory d;
	std::string other = d.write("other.so", "");
	auto there = [&] { EXPECT_EQ(chdir(d.path().c_str()), 0); };

	EXPECT_EQ(dry({"--lib=" + other, "ls"}), "env LD_PRELOAD=" + other + " ls");
	EXPECT_EQ(dry({"--lib", other, "ls"}), "env LD_PRELOAD=" + other + " ls");
	EXPECT_EQ(dry({"--lib=bare.so", "ls"}), "env LD_PRELOAD=bare.so ls");
	// A relative path is made absolute: children may stand elsewhere.
	EXPECT_EQ(unsplit({"run", "--dry-run", "--lib=./other.so", "ls"}, {}, there).out,
	          "env LD_PRELOAD=" + other + " ls\n");
}

TEST(RunPreload, RefusesAPathThatLdPreloadCannotHold)
{
	Directory d;

	for (const char *name : {"a b.so", "a:b.so"}) {
		std::string path = d.write(name, "");

		expect_refused({"--lib=" + path, "ls"},
		               "library \"" + path +
		                       "\": LD_PRELOAD cannot hold a path with a blank or a colon");
	}
}

// An installed command takes the library that was installed with it.
TEST(RunPreload, FindsTheLibraryThatBelongsToTheCommand)
{
	Directory d;
	std::string command = d.write("bin/unsplit", "");
	auto found = [&] { return flat(run_program(command, {"run", "--dry-run", "ls"}).out); };

	fs::copy_file(setting("UNSPLIT_CLI"), command, fs::copy_options::overwrite_existing);
	fs::permissions(command, fs::perms::owner_all);
	EXPECT_EQ(found(), "env LD_PRELOAD=libunsplit.so.0 ls") << "ld.so shall look for it";
	std::string lib = d.write("lib/libunsplit.so.0", "");
	EXPECT_EQ(found(), "env LD_PRELOAD=" + lib + " ls");
#ifdef __x86_64__
	std::string multiarch = d.write("lib/x86_64-linux-gnu/libunsplit.so.0", "");
	EXPECT_EQ(found(), "env LD_PRELOAD=" + multiarch + " ls");
#endif
	std::string beside = d.write("bin/libunsplit.so.0", "");
	EXPECT_EQ(found(), "env LD_PRELOAD=" + beside + " ls") << "a build tree";
}

class RunObstacle : public testing::Test
{
      protected:
	// A program that cannot be preloaded into is started all the same, with a word about it.
	void expect_warning(const std::string &path, const std::string &obstacle, bool run = true)
	{
		std::string line = "unsplit: " + path + " " + obstacle + "\n";

		EXPECT_EQ(unsplit({"run", "--dry-run", path}).err, line);
		if (run) {
			Outcome o = unsplit({"run", path});
			EXPECT_EQ(o.status, 0);
			EXPECT_EQ(o.err, line);
		}
	}
	// A copy of the command with one byte changed: programs that do not run here.
	std::string changed(size_t offset, char byte)
	{
		std::string path = d.write("changed", "", 0755);

		fs::copy_file(setting("UNSPLIT_CLI"), path, fs::copy_options::overwrite_existing);
		std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
		file.seekp(offset);
		file.put(byte);
		return path;
	}

	Directory d;
};

TEST_F(RunObstacle, IsNotSeenInOrdinaryPrograms)
{
	for (const char *command : {"/bin/sh", "true", "env", "/bin/cat"})
		EXPECT_EQ(unsplit({"run", "--dry-run", command}).err, "") << command;
	// The loader itself is no static program.
	for (const char *loader : {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"})
		EXPECT_EQ(unsplit({"run", "--dry-run", loader}).err, "") << loader;
}

TEST_F(RunObstacle, Static)
{
	const char *obstacle =
		"is statically linked: nothing can be preloaded into it; it runs as it is";

	expect_warning(program("static_program"), obstacle);
	expect_warning(program("static_pie_program"), obstacle);
}

TEST_F(RunObstacle, StaticInterpreterOfAScript)
{
	std::string script = d.write("script", "#! " + program("static_program") + " x\n", 0755);

	expect_warning(script,
	               "is statically linked: nothing can be preloaded into it; it runs as it is");
	EXPECT_EQ(unsplit({"run", "--dry-run", d.write("fine", "#!/bin/sh\n", 0755)}).err, "");
	std::string endless = d.path("endless");
	d.write("endless", "#!" + endless + "\n", 0755);
	EXPECT_EQ(unsplit({"run", "--dry-run", endless}).err, "");
}

TEST_F(RunObstacle, SetUserId)
{
	const char *obstacle =
		"is set-user-ID or set-group-ID: the loader ignores LD_PRELOAD there; "
		"it runs as it is";

	if (getuid() != 0) {
		expect_warning("/bin/su", obstacle, false);
		return;
	}
	// For root, su is no other user's program: make one that is.
	std::string path = d.write("setuid", "");
	fs::copy_file("/bin/true", path, fs::copy_options::overwrite_existing);
	ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
	fs::permissions(path, fs::perms(04755));
	expect_warning(path, obstacle);
	fs::permissions(path, fs::perms(02755));
	expect_warning(path, obstacle);
	fs::permissions(path, fs::perms(0755));
	EXPECT_EQ(unsplit({"run", path}).err, "");
}

TEST_F(RunObstacle, OtherWordSizeOrMachine)
{
	expect_warning(changed(EI_CLASS, ELFCLASS32),
	               "is a 32-bit program: the library is 64-bit; it runs as it is", false);
	expect_warning(changed(offsetof(Elf64_Ehdr, e_machine), EM_68K),
	               "is built for another kind of processor; it runs as it is", false);
}

TEST_F(RunObstacle, SanitizerKeepsItsMalloc)
{
	std::string path = program("sanitized_program");

	expect_warning(path, "is built with a sanitizer, which must serve malloc itself; it runs "
	                     "without us");
	EXPECT_EQ(unsplit({"run", "--dry-run", path}).out, "env " + path + "\n");
	EXPECT_EQ(unsplit({"run", "--dry-run", path}, {{"LD_PRELOAD", library() + ":x.so"}}).out,
	          "env LD_PRELOAD=x.so " + path + "\n");
	EXPECT_EQ(unsplit({"run", "--dry-run", path}, {{"LD_PRELOAD", library()}}).out,
	          "env -u LD_PRELOAD " + path + "\n");
}

// Headers that point nowhere must not lead the look inside astray.
TEST_F(RunObstacle, BrokenHeadersAreSurvived)
{
	for (size_t offset = EI_NIDENT; offset < 0x400; offset += 3) {
		Outcome o = unsplit({"run", "--dry-run", changed(offset, '\xff')});
		ASSERT_EQ(o.status, 0) << offset;
		ASSERT_EQ(o.signal, 0) << offset;
	}
}

} // namespace
