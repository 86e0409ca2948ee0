// support.h: start the command and catch everything that it does.
#ifndef UNSPLIT_TESTS_CLI_SUPPORT_H
#define UNSPLIT_TESTS_CLI_SUPPORT_H

#include <functional>
#include <map>
#include <string>
#include <vector>

// What a process left behind.
struct Outcome {
	int status = -1; // exit status, or -1 if a signal ended it
	int signal = 0;
	std::string out, err;
};

using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

// The value of an environment variable that CTest sets; the test fails without it.
std::string setting(const char *name);

// Run `unsplit ARGS...`.  Neither LD_PRELOAD nor UNSPLIT_CONF are inherited from the test; `env` is
// added.  `before` runs in the child, before exec.
Outcome unsplit(const Words &args, const Environment &env = {},
                const std::function<void()> &before = nullptr);
// The same with another copy of the command.
Outcome run_program(const std::string &program, const Words &args, const Environment &env = {},
                    const std::function<void()> &before = nullptr);

// `text` with all runs of blanks and newlines as one blank: what it says, however it is wrapped.
std::string flat(const std::string &text);

// A directory that is removed with everything in it.
class Directory
{
      public:
	Directory();
	~Directory();
	Directory(const Directory &) = delete;

	std::string path(const std::string &file = "") const;
	// Make a file, with the directories above it; returns its path.
	std::string write(const std::string &file, const std::string &content,
	                  unsigned mode = 0644) const;
	void remove(const std::string &file) const;

      private:
	std::string root;
};

#endif
