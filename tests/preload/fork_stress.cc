/*
 * fork_stress.cc: fork again and again while threads are in the middle of malloc and free.
 *
 *	fork_stress FORKS
 *
 * A fork copies whatever locks and half-done lists the other threads had at that moment.  Each
 * child allocates and frees; every second also starts threads, which free blocks that threads of
 *the parent made (thread identities of the parent's threads come again in the child).  A child that
 * hangs is ended by its alarm and fails the test, as does one that finds a block damaged.
 */
#include "support.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

constexpr unsigned child_seconds = 30;
constexpr unsigned test_seconds = 240;
constexpr unsigned children_at_once = 6;
constexpr unsigned threads_every = 2;
constexpr unsigned child_threads = 4;
constexpr unsigned busy_threads = 8;
constexpr unsigned inherited_count = 256;

std::atomic<bool> stop;
/* Where threads leave blocks for others to free; a child finds here what its parent's had left. */
std::atomic<void *> boxes[1024];
void *inherited[inherited_count];

/* Small blocks, extents and nearly whole units. */
size_t random_size(Random &random)
{
	switch (random.below(10)) {
	case 0:
		return MiB;
	case 1:
	case 2:
	case 3:
		return 64 * KiB;
	default:
		return random.size(11);
	}
}

/* First and last byte: the block is really ours, and a fork has something to copy. */
void *stamped_block(size_t size)
{
	auto *p = static_cast<volatile char *>(malloc(size));

	if (!p)
		_exit(3);
	p[0] = 1;
	p[size - 1] = 1;
	return const_cast<char *>(p);
}

void churn(unsigned seed, unsigned steps)
{
	Random random(seed);
	void *blocks[32] = {};

	for (unsigned i = 0; i < steps; i++) {
		void *&block = blocks[random.below(32)];

		free(block);
		block = stamped_block(random_size(random));
		free(boxes[random.below(1024)].exchange(i % 4 ? nullptr : stamped_block(100)));
	}
	for (void *block : blocks)
		free(block);
}

/* By threads that come and go, so that forks meet heaps being set up, abandoned and taken over. */
void stay_busy(unsigned seed)
{
	while (!stop)
		std::thread(churn, seed++, 300).join();
}

/* The thread that forks fills the boxes with its own blocks: when it forks, others are freeing
 * them, and the child goes on with the heap that they were freeing into. */
void restock(Random &random)
{
	for (auto &box : boxes) {
		if (!box)
			free(box.exchange(stamped_block(random.size(10))));
	}
}

/* Blocks of a thread that is gone by the time of the forks, and of one that lives. */
void make_inheritance()
{
	auto make = [](unsigned from) {
		Random random(from + 1);

		for (unsigned i = from; i < inherited_count; i += 2) {
			inherited[i] = malloc(random.size(16) + 64);
			fill(inherited[i], 64, i);
		}
	};

	std::thread(make, 0).join();
	make(1);
}

void free_inheritance(unsigned from, unsigned step)
{
	for (unsigned i = from; i < inherited_count; i += step) {
		if (!filled(inherited[i], 64, i))
			_exit(4);
		free(inherited[i]);
	}
}

void child_with_threads(unsigned seed)
{
	std::vector<std::thread> threads;

	for (unsigned i = 0; i < child_threads; i++) {
		threads.emplace_back([=] {
			free_inheritance(i, child_threads);
			churn(seed + i, 50);
		});
	}
	for (std::thread &thread : threads)
		thread.join();
}

[[noreturn]] void child(unsigned number)
{
	alarm(child_seconds);
	Random random(number + 1);
	restock(random);
	churn(number, 30);
	if (number % threads_every == 0)
		child_with_threads(number);
	else
		free_inheritance(number % 8, 8);
	churn(number, 30);
	_exit(0);
}

/* Returns whether a child ended well. */
bool reap_one()
{
	int status;
	pid_t pid = wait(&status);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		fprintf(stderr, "child %d hung\n", pid);
	else
		fprintf(stderr, "child %d ended with wait status 0x%x\n", pid, status);
	return false;
}

unsigned fork_many(unsigned forks)
{
	unsigned running = 0, failures = 0;
	Random random(1);

	for (unsigned i = 0; i < forks && failures < 3; i++) {
		restock(random);
		pid_t pid = fork();

		if (pid == 0)
			child(i);
		if (pid < 0) {
			perror("fork");
			return failures + 1;
		}
		if (++running == children_at_once) {
			failures += !reap_one();
			running--;
		}
	}
	for (; running > 0; running--)
		failures += !reap_one();
	return failures;
}

} // namespace

int main(int argc, char **argv)
{
	unsigned forks = argc == 2 ? static_cast<unsigned>(atoi(argv[1])) : 10000;
	std::vector<std::thread> threads;

	if (!plain() && !shim_loaded()) {
		fprintf(stderr, "the shim is not preloaded\n");
		return 2;
	}
	alarm(test_seconds);
	make_inheritance();
	for (unsigned i = 0; i < busy_threads; i++)
		threads.emplace_back(stay_busy, i * 1000000 + 1);
	unsigned failures = fork_many(forks);
	stop = true;
	for (std::thread &thread : threads)
		thread.join();
	free_inheritance(0, 1);
	printf("%u of up to %u forks failed\n", failures, forks);
	return failures != 0;
}
