#include "support.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;

std::string setting(const char *name)
{
	const char *value = getenv(name);

	EXPECT_NE(value, nullptr) << name << " must be set";
	return value ? value : "";
}

static std::string content(FILE *file)
{
	std::string text;
	int c;

	rewind(file);
	while ((c = getc(file)) != EOF)
		text += char(c);
	fclose(file);
	return text;
}

[[noreturn]] static void become(const std::string &program, const Words &args,
                                const Environment &env, const std::function<void()> &before)
{
	std::vector<char *> argv = {const_cast<char *>(program.c_str())};

	for (const std::string &arg : args)
		argv.push_back(const_cast<char *>(arg.c_str()));
	argv.push_back(nullptr);
	unsetenv("LD_PRELOAD");
	unsetenv("UNSPLIT_CONF");
	for (const auto &[name, value] : env)
		setenv(name.c_str(), value.c_str(), 1);
	// Whatever started the tests may have set it (K6); the tests that want it do so themselves.
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	if (before)
		before();
	execv(program.c_str(), argv.data());
	_exit(99);
}

Outcome run_program(const std::string &program, const Words &args, const Environment &env,
                    const std::function<void()> &before)
{
	FILE *out = tmpfile(), *err = tmpfile();
	Outcome outcome;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		become(program, args, env, before);
	}
	EXPECT_EQ(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		outcome.status = WEXITSTATUS(status);
	else
		outcome.signal = WTERMSIG(status);
	outcome.out = content(out);
	outcome.err = content(err);
	return outcome;
}

Outcome unsplit(const Words &args, const Environment &env, const std::function<void()> &before)
{
	return run_program(setting("UNSPLIT_CLI"), args, env, before);
}

std::string flat(const std::string &text)
{
	std::istringstream words(text);
	std::string word, result;

	while (words >> word)
		result += (result.empty() ? "" : " ") + word;
	return result;
}

Directory::Directory()
{
	char name[] = "/tmp/unsplit-cli-XXXXXX";

	EXPECT_NE(mkdtemp(name), nullptr);
	root = name;
}

Directory::~Directory()
{
	fs::remove_all(root);
}

std::string Directory::path(const std::string &file) const
{
	return file.empty() ? root : root + "/" + file;
}

std::string Directory::write(const std::string &file, const std::string &content,
                             unsigned mode) const
{
	fs::path target = path(file);

	fs::create_directories(target.parent_path());
	std::ofstream(target, std::ios::binary | std::ios::trunc) << content;
	EXPECT_EQ(chmod(target.c_str(), mode), 0);
	return target;
}

void Directory::remove(const std::string &file) const
{
	EXPECT_TRUE(fs::remove(path(file))) << file;
}
