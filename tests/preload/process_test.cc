/* Every way of making a process, from a program whose threads are busy in malloc. */
#include "support.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

/* Seconds until a child that hangs is ended. */
constexpr unsigned watchdog = 30;

int use_heap()
{
	Random random(3);
	void *blocks[64] = {};

	for (int i = 0; i < 2000; i++) {
		void *&block = blocks[random.below(64)];

		free(block);
		block = malloc(random.size(18));
		if (!block)
			return 1;
		*static_cast<volatile char *>(block) = 1;
	}
	for (void *block : blocks)
		free(block);
	return 0;
}

int wait_for(pid_t pid)
{
	int status = -1;

	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

/* Run `body` in a forked child; its result is the child's exit status. */
int in_child(const std::function<int()> &body)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(watchdog);
		_exit(body());
	}
	return wait_for(pid);
}

class Processes : public testing::Test
{
      protected:
	void SetUp() override
	{
		for (int i = 0; i < 3; i++)
			threads_.emplace_back([this] {
				while (!stop_)
					use_heap();
			});
	}

	void TearDown() override
	{
		stop_ = true;
		for (std::thread &thread : threads_)
			thread.join();
	}

      private:
	std::atomic<bool> stop_{false};
	std::vector<std::thread> threads_;
};

TEST_F(Processes, ForkFromAnotherThread)
{
	for (int i = 0; i < 100; i++) {
		int status = -1;

		std::thread([&] { status = in_child(use_heap); }).join();
		ASSERT_EQ(status, 0);
	}
}

TEST_F(Processes, ForkFromSeveralThreadsAtOnce)
{
	std::atomic<int> failures{0};
	std::vector<std::thread> threads;

	for (int i = 0; i < 4; i++)
		threads.emplace_back([&] {
			for (int j = 0; j < 50; j++)
				failures += in_child(use_heap) != 0;
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(failures, 0);
}

int fork_again(int depth)
{
	if (use_heap() != 0)
		return 1;
	return depth == 0 ? 0 : in_child([=] { return fork_again(depth - 1); }) != 0;
}

TEST_F(Processes, ForkInForkInFork)
{
	for (int i = 0; i < 20; i++)
		ASSERT_EQ(in_child([] { return fork_again(3); }), 0);
}

/* The child's frees and writes are its own. */
TEST_F(Processes, ChildDoesNotDisturbTheParent)
{
	std::vector<char *> blocks;

	for (size_t size : {100ul, 5000ul, 20ul << 10, 300ul << 10, 5ul << 20}) {
		blocks.push_back(static_cast<char *>(malloc(size)));
		fill(blocks.back(), size, 6);
	}
	ASSERT_EQ(in_child([&] {
			  for (char *block : blocks) {
				  memset(block, 0, 100);
				  free(block);
			  }
			  return use_heap();
		  }),
	          0);
	for (char *block : blocks) {
		EXPECT_TRUE(filled(block, 100, 6));
		free(block);
	}
}

/* exit() in the child, with all its handlers, though its other threads are gone. */
TEST_F(Processes, ForkedChildLeavesByExit)
{
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			alarm(watchdog);
			atexit([] { free(malloc(100000)); });
			exit(use_heap());
		}
		ASSERT_EQ(wait_for(pid), 0);
	}
}

TEST_F(Processes, AtforkHandlersMayAllocate)
{
	static std::atomic<unsigned> calls;
	auto handler = [] {
		calls++;
		use_heap();
	};

	ASSERT_EQ(pthread_atfork(handler, handler, handler), 0);
	for (int i = 0; i < 20; i++)
		ASSERT_EQ(in_child(use_heap), 0);
	EXPECT_GE(calls, 40u);
}

/* ---- Children that become another program ---- */

TEST_F(Processes, VforkAndExec)
{
	for (int i = 0; i < 50; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
			_exit(127);
		}
		int status = wait_for(pid);
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_EQ(WEXITSTATUS(status), 7);
		use_heap();
	}
}

TEST_F(Processes, PosixSpawn)
{
	char *const argv[] = {const_cast<char *>("sh"), const_cast<char *>("-c"),
	                      const_cast<char *>("exit 7"), nullptr};

	for (int i = 0; i < 50; i++) {
		pid_t pid;

		ASSERT_EQ(posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, environ), 0);
		ASSERT_EQ(WEXITSTATUS(wait_for(pid)), 7);
	}
}

TEST_F(Processes, System)
{
	for (int i = 0; i < 50; i++)
		ASSERT_EQ(WEXITSTATUS(system("exit 7")), 7);
}

TEST_F(Processes, Popen)
{
	for (int i = 0; i < 50; i++) {
		char line[100] = "";
		FILE *pipe = popen("echo from the child", "r");

		ASSERT_NE(pipe, nullptr);
		ASSERT_NE(fgets(line, sizeof line, pipe), nullptr);
		EXPECT_STREQ(line, "from the child\n");
		ASSERT_EQ(pclose(pipe), 0);
	}
}

} // namespace
