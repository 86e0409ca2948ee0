// The keeper, a real thread, with the clock of the fake kernel.  Where a test waits for it, it
// waits for an event, however long that takes.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <dirent.h>
#include <fstream>
#include <functional>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mutex>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "release_fixture.h"

// For ThreadSanitizer, if this is built with it: a child of fork() starts a thread of its own here,
// for that is what is tested.
extern "C" __attribute__((visibility("default"))) const char *__tsan_default_options()
{
	return "die_after_fork=0";
}

namespace
{

using fake::MS;
using fake::SECOND;

// Held by the keeper while it works, as a thread in a call of the heap is.
std::mutex gate;
std::atomic<size_t> entered, left;
std::atomic<bool> closed;

bool enter()
{
	if (closed)
		return false;
	gate.lock();
	entered++;
	return true;
}

void leave()
{
	left++;
	gate.unlock();
}

class Keeper : public testing::Test, public fake::Release
{
      protected:
	Keeper()
	{
		entered = left = 0;
		closed = false;
		release_scope.enter = enter;
		release_scope.leave = leave;
	}
	~Keeper() override
	{
		end();
	}
	static void nap()
	{
		usleep(1000);
	}
	static void wait_for(std::function<bool()> event)
	{
		while (!event())
			nap();
	}
	void wait_for_steps(size_t n)
	{
		size_t from = entered;

		wait_for([&] { return entered >= from + n || !keeper_running(); });
	}
	// Let time pass for the keeper until something has happened.
	void pass_until(std::function<bool()> event)
	{
		wait_for([&] {
			if (event())
				return true;
			fake.advance(20 * MS);
			return false;
		});
	}
	void end()
	{
		closed = true;
		pass_until([] { return !keeper_running(); });
	}
	// The ids of the threads that are called as the keeper is.
	static std::vector<std::string> keepers()
	{
		std::vector<std::string> some;
		DIR *tasks = opendir("/proc/self/task");

		while (struct dirent *entry = readdir(tasks)) {
			std::string comm, id = entry->d_name;

			std::ifstream("/proc/self/task/" + id + "/comm") >> comm;
			if (comm == "unsplit")
				some.push_back(id);
		}
		closedir(tasks);
		return some;
	}
	// Run `work` in a forked child; what it returns must be true.
	static void in_child(std::function<bool()> work)
	{
		std::unique_lock<std::mutex> outside(gate);
		pid_t child = fork();
		int status;

		ASSERT_GE(child, 0);
		if (!child) {
			outside.unlock();
			_exit(work() && !HasFailure() ? 0 : 1);
		}
		outside.unlock();
		ASSERT_EQ(waitpid(child, &status, 0), child);
		EXPECT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status)) << status;
	}
};

TEST_F(Keeper, IsNotThereUnlessStarted)
{
	EXPECT_FALSE(keeper_running());
	EXPECT_TRUE(keeper_possible());
	EXPECT_TRUE(keepers().empty());
}

TEST_F(Keeper, GivesBackWhileTheProgramIsIdle)
{
	auto kept = leave_slack(60, 100);

	drop(take_units(20));
	keeper_start();
	EXPECT_TRUE(keeper_running());
	pass_until([&] {
		std::lock_guard<std::mutex> outside(gate);
		return !release_kept_units() && release_slack_pages() <= bound_tolerated();
	});
	end();
	for (char *p : kept)
		EXPECT_TRUE(holds(p, 100));
	EXPECT_EQ(entered, left);
	check();
}

TEST_F(Keeper, LingersAndEnds)
{
	keeper_start();
	wait_for_steps(4);
	EXPECT_TRUE(keeper_running()) << "no time has passed for it";
	fake.advance(1900 * MS);
	wait_for_steps(2);
	EXPECT_TRUE(keeper_running());
	fake.advance(200 * MS);
	wait_for([] { return !keeper_running(); });
	wait_for([] { return keepers().empty(); });
	EXPECT_EQ(entered, left);
}

TEST_F(Keeper, LingersAnewAfterWork)
{
	keeper_start();
	wait_for_steps(2);
	fake.advance(1900 * MS);
	wait_for_steps(2);
	ASSERT_TRUE(keeper_running());
	drop(take_units(20));
	wait_for_steps(2);
	pass_until([] { return !release_kept_units(); });
	wait_for_steps(2);
	EXPECT_TRUE(keeper_running());
}

TEST_F(Keeper, StaysWhileThereIsSomethingToWaitFor)
{
	options.delay = 3600000;
	drop(take_units(20));
	keeper_start();
	wait_for_steps(1);
	for (int i = 0; i < 4; i++) {
		fake.advance(100 * SECOND);
		wait_for_steps(1);
		EXPECT_TRUE(keeper_running());
	}
	EXPECT_EQ(release_kept_units(), 20u);
}

TEST_F(Keeper, ComesBackWhenItIsNeededAgain)
{
	for (int i = 0; i < 3; i++) {
		drop(take_units(20));
		keeper_start();
		pass_until([] { return !keeper_running(); });
		EXPECT_EQ(release_kept_units(), 0u);
	}
	EXPECT_EQ(stats.returned_units, 60u);
}

TEST_F(Keeper, ThereIsOneOnly)
{
	std::vector<std::thread> threads;

	for (int i = 0; i < 4; i++)
		threads.emplace_back(keeper_start);
	for (std::thread &thread : threads)
		thread.join();
	wait_for([] { return !keepers().empty(); });
	wait_for_steps(2);
	keeper_start();
	EXPECT_EQ(keepers().size(), 1u);
}

TEST_F(Keeper, BlocksAllSignals)
{
	sigset_t before, after;
	std::string line, blocked;

	pthread_sigmask(SIG_SETMASK, nullptr, &before);
	keeper_start();
	pthread_sigmask(SIG_SETMASK, nullptr, &after);
	for (int s = 1; s < 32; s++)
		EXPECT_EQ(sigismember(&before, s), sigismember(&after, s)) << "the caller's mask";
	wait_for([] { return !keepers().empty(); });
	std::ifstream status("/proc/self/task/" + keepers().at(0) + "/status");
	while (std::getline(status, line))
		if (line.compare(0, 7, "SigBlk:") == 0)
			blocked = line.substr(7);
	uint64_t mask = std::stoull(blocked, nullptr, 16);
	for (int s = 1; s < 32; s++)
		EXPECT_EQ(mask >> (s - 1) & 1, s != SIGKILL && s != SIGSTOP) << s;
}

TEST_F(Keeper, IsNotStartedWhenTurnedOff)
{
	options.background = BACKGROUND_OFF;
	EXPECT_FALSE(keeper_possible());
	keeper_start();
	EXPECT_FALSE(keeper_running());
	EXPECT_TRUE(keepers().empty());
}

TEST_F(Keeper, StaysForGoodWhenTurnedOn)
{
	in_child([this] {
		options.background = BACKGROUND_ON;
		keeper_start();
		for (int i = 0; i < 4; i++) {
			wait_for_steps(1);
			fake.advance(100 * SECOND);
		}
		wait_for_steps(2);
		return keeper_running();
	});
}

// A thread that may not enter the heap (any more) does nothing, and ends.
TEST_F(Keeper, DoesNothingWhereItMayNotEnter)
{
	closed = true;
	drop(take_units(20));
	keeper_start();
	pass_until([] { return !keeper_running(); });
	EXPECT_EQ(release_kept_units(), 20u);
	EXPECT_EQ(left, 0u);
}

TEST_F(Keeper, IsGoneInAChildUntilItIsNeeded)
{
	char *p = take_units(20);

	keeper_start();
	wait_for_steps(1);
	in_child([&] {
		release_after_fork();
		bool gone = !keeper_running() && keeper_possible();
		drop(p);
		keeper_start();
		pass_until([] { return !keeper_running(); });
		return gone && !release_kept_units();
	});
	EXPECT_TRUE(keeper_running()) << "ours is still there";
	drop(p);
}

// No more threads, as with RLIMIT_NPROC.
bool refuse_threads()
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

TEST_F(Keeper, WithoutAThreadCallersDoTheWork)
{
	leave_slack(60, 100);
	tick();
	EXPECT_TRUE(release_wants_keeper());
	in_child([this] {
		if (!refuse_threads())
			return false;
		keeper_start();
		bool refused = !keeper_running() && !keeper_possible();
		for (int i = 0; i < 60; i++) {
			fake.advance(delay / 4);
			tick();
		}
		bool done = release_slack_pages() <= bound_tolerated();
		release_after_fork();
		return refused && done && keeper_possible();
	});
}

} // namespace
