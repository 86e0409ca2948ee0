/* The flag against huge pages (PR_SET_THP_DISABLE): the program's own, ours, and what children
 * inherit of it, whichever way they are started and whether we are preloaded into them or not.
 *
 * The suites are named for the options that CMakeLists.txt runs them with. */
#include "support.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace support;

namespace
{

constexpr long clear = 0, never = 1, advised = 3;

/* As the kernel has it, and as the program hears it. */
long kernel_flag()
{
	return syscall(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
}

int heard_flag()
{
	return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
}

int set_flag(int disable, int flags = 0)
{
	return prctl(PR_SET_THP_DISABLE, disable, flags, 0, 0);
}

/* Does this kernel leave advised memory alone (6.18)?  Asked in a child, and not of the shim. */
bool knows_advised()
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(syscall(SYS_prctl, PR_SET_THP_DISABLE, 1, 2, 0, 0) == 0);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status) == 1;
}

/* What a softened flag is here. */
long softened()
{
	return knows_advised() ? advised : never;
}

/* What a child inherits of a softened flag: nothing, or what the program set. */
long left_of_softened()
{
	return knows_advised() ? clear : never;
}

/* ---- Ways to start the probe.  It writes to descriptor `to`; the child is waited for. ---- */

const std::string &probe()
{
	static const std::string path = needed_env("UNSPLIT_THP_PROBE");
	return path;
}

struct Arguments {
	explicit Arguments(int to) : descriptor(std::to_string(to))
	{
	}

	std::string descriptor;
	char *argv[3] = {const_cast<char *>("thp_probe"), &descriptor[0], nullptr};
};

void reap(pid_t pid)
{
	int status = -1;

	ASSERT_GT(pid, 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
}

template <typename Exec> void by_fork(Exec exec)
{
	pid_t pid = fork();

	if (pid == 0) {
		exec();
		_exit(127);
	}
	reap(pid);
}

void by_execve(int to)
{
	Arguments a(to);

	by_fork([&] { execve(probe().c_str(), a.argv, environ); });
}

void by_execv(int to)
{
	Arguments a(to);

	by_fork([&] { execv(probe().c_str(), a.argv); });
}

/* Found in PATH. */
void by_execvp(int to)
{
	Arguments a(to);

	by_fork([&] { execvp("thp_probe", a.argv); });
}

void by_execvpe(int to)
{
	Arguments a(to);

	by_fork([&] { execvpe("thp_probe", a.argv, environ); });
}

void by_execl(int to)
{
	Arguments a(to);

	by_fork([&] { execl(probe().c_str(), a.argv[0], a.argv[1], nullptr); });
}

void by_execlp(int to)
{
	Arguments a(to);

	by_fork([&] { execlp("thp_probe", a.argv[0], a.argv[1], nullptr); });
}

void by_execle(int to)
{
	Arguments a(to);

	by_fork([&] { execle(probe().c_str(), a.argv[0], a.argv[1], nullptr, environ); });
}

void by_fexecve(int to)
{
	Arguments a(to);
	int fd = open(probe().c_str(), O_RDONLY | O_CLOEXEC);

	by_fork([&] { fexecve(fd, a.argv, environ); });
	close(fd);
}

void by_execveat(int to)
{
	Arguments a(to);

	by_fork([&] { execveat(AT_FDCWD, probe().c_str(), a.argv, environ, 0); });
}

void by_second_exec(int to)
{
	Arguments a(to);

	by_fork([&] {
		execv("/nowhere/at/all", a.argv);
		execv(probe().c_str(), a.argv);
	});
}

void by_vfork(int to)
{
	Arguments a(to);
	pid_t pid = vfork();

	if (pid == 0) {
		execve(probe().c_str(), a.argv, environ);
		_exit(127);
	}
	reap(pid);
}

/* As execvp does it along PATH. */
void by_vfork_and_second_exec(int to)
{
	Arguments a(to);
	pid_t pid = vfork();

	if (pid == 0) {
		execv("/nowhere/at/all", a.argv);
		execvp("thp_probe", a.argv);
		_exit(127);
	}
	reap(pid);
}

void by_vfork_in_fork(int to)
{
	by_fork([=] {
		by_vfork(to);
		_exit(0);
	});
}

int exec_in_clone(void *argv)
{
	execve(probe().c_str(), static_cast<char **>(argv), environ);
	return 127;
}

/* What vfork is made of, and no function of ours sees. */
void by_clone(int to)
{
	static char stack[64 * KiB];
	Arguments a(to);

	reap(clone(exec_in_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, a.argv));
}

void by_posix_spawn(int to)
{
	Arguments a(to);
	pid_t pid = 0;

	ASSERT_EQ(posix_spawn(&pid, probe().c_str(), nullptr, nullptr, a.argv, environ), 0);
	reap(pid);
}

void by_posix_spawnp(int to)
{
	Arguments a(to);
	pid_t pid = 0;

	ASSERT_EQ(posix_spawnp(&pid, "thp_probe", nullptr, nullptr, a.argv, environ), 0);
	reap(pid);
}

void by_system(int to)
{
	ASSERT_EQ(system((probe() + " " + std::to_string(to)).c_str()), 0);
}

void by_popen(int to)
{
	FILE *pipe = popen((probe() + " " + std::to_string(to)).c_str(), "r");

	ASSERT_NE(pipe, nullptr);
	ASSERT_EQ(pclose(pipe), 0);
}

struct Way {
	const char *name;
	void (*start)(int to);
};

const Way ways[] = {
	{"execve", by_execve},
	{"execv", by_execv},
	{"execvp", by_execvp},
	{"execvpe", by_execvpe},
	{"execl", by_execl},
	{"execlp", by_execlp},
	{"execle", by_execle},
	{"fexecve", by_fexecve},
	{"execveat", by_execveat},
	{"second_exec", by_second_exec},
	{"vfork", by_vfork},
	{"vfork_and_second_exec", by_vfork_and_second_exec},
	{"vfork_in_fork", by_vfork_in_fork},
	{"posix_spawn", by_posix_spawn},
	{"posix_spawnp", by_posix_spawnp},
	{"system", by_system},
	{"popen", by_popen},
};

/* The flag that a program has which is started so. */
long flag_of_child(void (*start)(int to))
{
	int ends[2];
	char text[32] = "";

	EXPECT_EQ(pipe(ends), 0);
	start(ends[1]);
	close(ends[1]);
	EXPECT_GT(read(ends[0], text, sizeof text - 1), 0) << "the child said nothing";
	close(ends[0]);
	return atol(text);
}

/* Children are preloaded, or not. */
void preload_children(bool preloaded)
{
	static const std::string library = needed_env("LD_PRELOAD");

	if (preloaded)
		setenv("LD_PRELOAD", library.c_str(), 1);
	else
		unsetenv("LD_PRELOAD");
}

/* All ways yield `expected`, and leave this process as it was. */
void expect_children(long expected, bool preloaded)
{
	long here = kernel_flag();

	preload_children(preloaded);
	for (const Way &way : ways) {
		EXPECT_EQ(flag_of_child(way.start), expected) << way.name;
		EXPECT_EQ(kernel_flag(), here) << way.name;
	}
	preload_children(true);
}

class FlagTest : public testing::Test
{
      protected:
	void SetUp() override
	{
		std::string directory = probe().substr(0, probe().rfind('/'));

		set_path(directory + ":/usr/bin:/bin");
	}

	/* PATH has a directory that has not the program, too. */
	static void set_path(const std::string &path)
	{
		setenv("PATH", ("/nowhere:" + path).c_str(), 1);
	}
};

/* ---- The default: the program's own flag is softened ---- */

class Soften : public FlagTest
{
      protected:
	void TearDown() override
	{
		EXPECT_EQ(set_flag(0), 0);
		EXPECT_EQ(kernel_flag(), clear);
		EXPECT_EQ(heard_flag(), clear);
	}
};

TEST_F(Soften, ExceptsAdvisedMemory)
{
	ASSERT_EQ(kernel_flag(), clear);
	EXPECT_EQ(heard_flag(), clear);
	ASSERT_EQ(set_flag(1), 0);
	EXPECT_EQ(kernel_flag(), softened());
	EXPECT_EQ(heard_flag(), never);
	ASSERT_EQ(set_flag(0), 0);
	EXPECT_EQ(kernel_flag(), clear);
	EXPECT_EQ(heard_flag(), clear);
}

TEST_F(Soften, WhatTheProgramSoftensItself)
{
	int result = set_flag(1, 2);

	if (!knows_advised()) {
		EXPECT_EQ(result, -1);
		EXPECT_EQ(errno, EINVAL);
		return;
	}
	ASSERT_EQ(result, 0);
	EXPECT_EQ(heard_flag(), advised);
	EXPECT_EQ(kernel_flag(), advised);
	EXPECT_EQ(flag_of_child(by_execve), clear);
}

TEST_F(Soften, WrongCallsFailAsInTheKernel)
{
	for (int flags : {1, 4, -1}) {
		errno = 0;
		EXPECT_EQ(set_flag(1, flags), -1) << flags;
		EXPECT_EQ(errno, EINVAL);
	}
	EXPECT_EQ(set_flag(0, 2), -1);
	EXPECT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 1, 0), -1);
	EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), -1);
	EXPECT_EQ(kernel_flag(), clear);
	EXPECT_EQ(heard_flag(), clear);
}

TEST_F(Soften, OtherCallsOfPrctlAreTheKernels)
{
	char name[17] = "";

	ASSERT_EQ(prctl(PR_SET_NAME, "something"), 0);
	ASSERT_EQ(prctl(PR_GET_NAME, name), 0);
	EXPECT_STREQ(name, "something");
	errno = 0;
	EXPECT_EQ(prctl(-1, 0, 0, 0, 0), -1);
	EXPECT_EQ(errno, EINVAL);
}

TEST_F(Soften, ChildrenHaveTheFlagClear)
{
	ASSERT_EQ(set_flag(1), 0);
	expect_children(left_of_softened(), true);
	expect_children(left_of_softened(), false);
}

TEST_F(Soften, ChildrenAreLeftAloneWithoutAFlag)
{
	expect_children(clear, true);
	expect_children(clear, false);
}

/* That the probe can see a flag, and that the kernel hands it on: by a call that we do not see. */
TEST_F(Soften, ChildrenOfABareSystemCallInheritIt)
{
	ASSERT_EQ(set_flag(1), 0);
	EXPECT_EQ(flag_of_child([](int to) {
			  Arguments a(to);

			  by_fork([&] { syscall(SYS_execve, probe().c_str(), a.argv, environ); });
		  }),
	          softened());
}

TEST_F(Soften, ForkedChildKeepsIt)
{
	ASSERT_EQ(set_flag(1), 0);
	by_fork([] { _exit(kernel_flag() == softened() && heard_flag() == never ? 0 : 1); });
}

/* The parent is without the flag from the child's exec on; the next call sets it again. */
TEST_F(Soften, ChildOfCloneInOurMemory)
{
	ASSERT_EQ(set_flag(1), 0);
	EXPECT_EQ(flag_of_child(by_clone), left_of_softened());
	EXPECT_EQ(flag_of_child(by_posix_spawn), left_of_softened());
	EXPECT_EQ(kernel_flag(), softened());
}

TEST_F(Soften, FailedCallsLeaveTheFlag)
{
	char *const argv[] = {const_cast<char *>("nothing"), nullptr};
	pid_t pid;

	ASSERT_EQ(set_flag(1), 0);
	errno = 0;
	EXPECT_EQ(execv("/nowhere/at/all", argv), -1);
	EXPECT_EQ(errno, ENOENT);
	EXPECT_EQ(execlp("no-such-program", "x", nullptr), -1);
	EXPECT_EQ(errno, ENOENT);
	EXPECT_EQ(posix_spawn(&pid, "/nowhere/at/all", nullptr, nullptr, argv, environ), ENOENT);
	EXPECT_EQ(popen("true", "no mode"), nullptr);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(kernel_flag(), softened());
}

TEST_F(Soften, ChildOfVforkThatLeaves)
{
	ASSERT_EQ(set_flag(1), 0);
	pid_t pid = vfork();
	if (pid == 0)
		_exit(0);
	reap(pid);
	EXPECT_EQ(kernel_flag(), softened());
}

TEST_F(Soften, SystemThatIsCancelled)
{
	ASSERT_EQ(set_flag(1), 0);
	int ends[2];
	char byte;

	ASSERT_EQ(pipe(ends), 0);
	std::string command = "echo >&" + std::to_string(ends[1]) + "; exec sleep 60";
	pthread_t thread;
	auto run = [](void *text) -> void * {
		system(static_cast<const char *>(text));
		return nullptr;
	};
	ASSERT_EQ(pthread_create(&thread, nullptr, run, const_cast<char *>(command.c_str())), 0);
	ASSERT_EQ(read(ends[0], &byte, 1), 1);
	EXPECT_EQ(kernel_flag(), left_of_softened());
	pthread_cancel(thread);
	void *result;
	ASSERT_EQ(pthread_join(thread, &result), 0);
	EXPECT_EQ(result, PTHREAD_CANCELED);
	EXPECT_EQ(kernel_flag(), softened());
	close(ends[0]);
	close(ends[1]);
}

/* Two threads start programs at once, a third one forks, and none inherits anything. */
TEST_F(Soften, ThreadsAtOnce)
{
	ASSERT_EQ(set_flag(1), 0);
	long expected = left_of_softened();
	std::vector<std::thread> threads;

	for (auto start : {by_posix_spawn, by_vfork, by_execvp, by_popen})
		threads.emplace_back([=] {
			for (int i = 0; i < 50; i++)
				EXPECT_EQ(flag_of_child(start), expected);
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(kernel_flag(), softened());
}

/* ---- What a parent set stays ---- */

TEST(Inherited, FlagIsNotOurs)
{
	ASSERT_EQ(kernel_flag(), never);
	EXPECT_EQ(heard_flag(), never);
	EXPECT_EQ(flag_of_child(by_posix_spawn), never);
	EXPECT_EQ(set_flag(0), 0);
	EXPECT_EQ(kernel_flag(), clear);
	EXPECT_EQ(flag_of_child(by_posix_spawn), clear);
}

/* ---- app_thp:honour ---- */

class Honour : public FlagTest
{
};

TEST_F(Honour, FlagIsTheProgramsAndItsChildrens)
{
	ASSERT_EQ(set_flag(1), 0);
	EXPECT_EQ(kernel_flag(), never);
	EXPECT_EQ(heard_flag(), never);
	expect_children(never, true);
	expect_children(never, false);
	ASSERT_EQ(set_flag(0), 0);
	EXPECT_EQ(kernel_flag(), clear);
	EXPECT_EQ(flag_of_child(by_execve), clear);
}

/* ---- app_thp:ignore ---- */

class Ignore : public FlagTest
{
};

TEST_F(Ignore, FlagIsHeardAndNotSet)
{
	ASSERT_EQ(set_flag(1), 0);
	EXPECT_EQ(kernel_flag(), clear);
	EXPECT_EQ(heard_flag(), never);
	EXPECT_EQ(flag_of_child(by_execve), clear);
	ASSERT_EQ(set_flag(0), 0);
	EXPECT_EQ(heard_flag(), clear);
}

/* ---- process_thp:advised and process_thp:off ---- */

/* The program does not hear of it, and its children have it only from their own shim. */
void expect_process_setting(long flag)
{
	EXPECT_EQ(kernel_flag(), flag);
	EXPECT_EQ(heard_flag(), clear);
	expect_children(clear, false);
	expect_children(flag, true);
	ASSERT_EQ(set_flag(0), 0);
	EXPECT_EQ(kernel_flag(), flag) << "the program took back what it had not set";
}

class ProcessAdvised : public FlagTest
{
};

TEST_F(ProcessAdvised, IsSetAndUndoneForChildren)
{
	expect_process_setting(knows_advised() ? advised : clear);
}

class ProcessOff : public FlagTest
{
};

TEST_F(ProcessOff, IsSetAndUndoneForChildren)
{
	expect_process_setting(never);
}

TEST_F(ProcessOff, IsStricterThanWhatTheProgramSets)
{
	ASSERT_EQ(set_flag(1), 0);
	EXPECT_EQ(kernel_flag(), never);
	preload_children(false);
	EXPECT_EQ(flag_of_child(by_execve), left_of_softened());
	preload_children(true);
	ASSERT_EQ(set_flag(0), 0);
	EXPECT_EQ(kernel_flag(), never);
}

} // namespace
