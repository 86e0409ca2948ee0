#include "footprint.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

[[noreturn]] void become(const std::vector<std::string> &command, const std::string &preload)
{
	std::vector<char *> argv;
	int nowhere = open("/dev/null", O_WRONLY);

	for (const std::string &word : command)
		argv.push_back(const_cast<char *>(word.c_str()));
	argv.push_back(nullptr);
	unsetenv("LD_PRELOAD");
	if (!preload.empty())
		setenv("LD_PRELOAD", preload.c_str(), 1);
	dup2(nowhere, STDOUT_FILENO);
	ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
	execvp(argv[0], argv.data());
	_exit(127);
}

/* KiB after "name:" in a file of /proc/PID, in bytes. */
size_t proc_bytes(pid_t pid, const char *file, const std::string &name)
{
	std::ifstream in("/proc/" + std::to_string(pid) + "/" + file);
	std::string word;
	size_t kib = 0;

	while (in >> word) {
		if (word == name)
			in >> kib;
	}
	return kib * 1024;
}

/* The tenth field of /proc/PID/stat; the second is the name, in parentheses. */
size_t minor_faults(pid_t pid)
{
	std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
	std::string word;
	size_t faults = 0;

	std::getline(in, word, ')');
	for (int field = 3; field < 10; field++)
		in >> word;
	in >> faults;
	return faults;
}

bool has_mapped(pid_t pid, const std::string &library)
{
	std::ifstream in("/proc/" + std::to_string(pid) + "/maps");
	std::string line;

	while (!library.empty() && std::getline(in, line)) {
		if (line.find(library) != std::string::npos)
			return true;
	}
	return false;
}

void read_figures(pid_t pid, const std::string &preload, Footprint &result)
{
	result.loaded = has_mapped(pid, preload);
	/* Older kernels add to the peak only now and then: what is there now is exact. */
	result.peak = std::max(proc_bytes(pid, "status", "VmHWM:"),
	                       proc_bytes(pid, "smaps_rollup", "Rss:"));
	result.huge = proc_bytes(pid, "smaps_rollup", "AnonHugePages:");
	result.anonymous = proc_bytes(pid, "smaps_rollup", "Anonymous:");
	result.faults = minor_faults(pid) - result.faults;
}

/* What to pass on to the traced program: the signal it stopped for, unless that was a trap. */
long signal_of(int status)
{
	return status >> 16 || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
}

} // namespace

Footprint footprint_of(const std::vector<std::string> &command, const std::string &preload)
{
	Footprint result = {};
	pid_t pid = fork();

	if (pid == 0)
		become(command, preload);
	/* It stops at exec first: its faults until then were the fork's. */
	waitpid(pid, &result.status, 0);
	if (!WIFSTOPPED(result.status))
		return result;
	ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
	result.faults = minor_faults(pid);
	while (WIFSTOPPED(result.status)) {
		if (result.status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			read_figures(pid, preload, result);
		ptrace(PTRACE_CONT, pid, nullptr, signal_of(result.status));
		waitpid(pid, &result.status, 0);
	}
	return result;
}
