/* Threads that come and go, hand blocks to each other, and allocate while they end. */
#include "support.h"

#include <atomic>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

using namespace support;

namespace
{

/* Run `body(i)` in `count` threads and wait for all of them. */
template <typename Body> void in_threads(unsigned count, Body body)
{
	std::vector<std::thread> threads;

	for (unsigned i = 0; i < count; i++)
		threads.emplace_back(body, i);
	for (std::thread &thread : threads)
		thread.join();
}

/* A block that says itself what it must hold. */
struct Parcel {
	size_t size;
	unsigned seed;
	unsigned char data[];

	static Parcel *make(Random &random)
	{
		size_t size = random.size(random.below(50) ? 11 : 18);
		auto *parcel = static_cast<Parcel *>(malloc(sizeof(Parcel) + size));

		parcel->size = size;
		parcel->seed = static_cast<unsigned>(random.next());
		fill(parcel->data, size, parcel->seed);
		return parcel;
	}

	bool intact() const
	{
		return filled(data, size, seed);
	}
};

/* Where threads leave parcels for whoever comes by next. */
class PostOffice
{
      public:
	explicit PostOffice(size_t boxes) : boxes_(boxes)
	{
	}

	~PostOffice()
	{
		for (auto &box : boxes_)
			deliver(box.load());
		EXPECT_EQ(damaged_, 0u);
	}

	/* Put a new parcel into a random box; check and free the one that was there. */
	void visit(Random &random)
	{
		deliver(boxes_[random.below(boxes_.size())].exchange(Parcel::make(random)));
	}

      private:
	void deliver(Parcel *parcel)
	{
		if (parcel && !parcel->intact())
			damaged_++;
		free(parcel);
	}

	std::vector<std::atomic<Parcel *>> boxes_;
	std::atomic<unsigned> damaged_{0};
};

TEST(Threads, ComeAndGoWithCrossThreadFrees)
{
	PostOffice office(1024);

	for (unsigned round = 0; round < 2000; round++) {
		in_threads(64, [&](unsigned i) {
			Random random(round * 64 + i + 1);

			for (int visits = 0; visits < 5; visits++)
				office.visit(random);
		});
	}
}

TEST(Threads, LongLivedWithCrossThreadFrees)
{
	PostOffice office(4096);

	in_threads(8, [&](unsigned i) {
		Random random(i + 1);

		for (int visits = 0; visits < 200000; visits++)
			office.visit(random);
	});
}

/* What one thread makes another frees, always in the same direction. */
TEST(Threads, ProducerAndConsumer)
{
	constexpr size_t count = 300000;
	std::vector<std::atomic<Parcel *>> queue(count);
	unsigned damaged = 0;
	size_t before = rss();

	std::thread producer([&] {
		Random random(5);

		for (auto &slot : queue)
			slot.store(Parcel::make(random), std::memory_order_release);
	});
	for (auto &slot : queue) {
		Parcel *parcel;

		while (!(parcel = slot.load(std::memory_order_acquire)))
			std::this_thread::yield();
		damaged += !parcel->intact();
		free(parcel);
	}
	producer.join();
	EXPECT_EQ(damaged, 0u);
	malloc_trim(0);
	EXPECT_LT(rss(), before + 64 * MiB);
}

/* ---- Allocation while a thread ends ---- */

std::atomic<unsigned> ended;

struct AllocatesWhenDestroyed {
	std::string text = std::string(1000, 't');

	~AllocatesWhenDestroyed()
	{
		std::vector<std::string> copies(50, text + text);
		void *big = malloc(200 * KiB);

		memset(big, 1, 200 * KiB);
		free(big);
		ended += copies.back().size() == 2 * text.size();
	}
};

TEST(ThreadExit, ThreadLocalDestructorsAllocate)
{
	ended = 0;
	for (int round = 0; round < 100; round++) {
		in_threads(16, [](unsigned) {
			thread_local AllocatesWhenDestroyed object;

			object.text += "x";
		});
	}
	EXPECT_EQ(ended, 1600u);
}

pthread_key_t key;

/* Comes back with a new value until the last round the library grants. */
void key_destructor(void *value)
{
	auto *rounds = static_cast<unsigned *>(value);

	if (++*rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
		auto *next = static_cast<unsigned *>(malloc(5000));

		*next = *rounds;
		pthread_setspecific(key, next);
	} else {
		ended++;
	}
	free(realloc(value, 30 * KiB));
}

TEST(ThreadExit, KeyDestructorsAllocateInEveryRound)
{
	ended = 0;
	ASSERT_EQ(pthread_key_create(&key, key_destructor), 0);
	for (int round = 0; round < 100; round++) {
		in_threads(16, [](unsigned) {
			pthread_setspecific(key, calloc(1, 100));
			free(malloc(100));
		});
	}
	pthread_key_delete(key);
	EXPECT_EQ(ended, 1600u);
}

/* ---- Memory ---- */

/* Every 20th block outlives its thread and is freed by the next one. */
void allocate_a_little(unsigned seed, std::atomic<Parcel *> &left_over)
{
	Random random(seed + 1);

	for (int i = 0; i < 20; i++) {
		Parcel *parcel = Parcel::make(random);

		free(i == 0 ? left_over.exchange(parcel) : parcel);
	}
}

void many_short_threads(unsigned count)
{
	std::vector<std::atomic<Parcel *>> left_over(8);

	for (unsigned i = 0; i < count; i += 8)
		in_threads(8, [&](unsigned j) { allocate_a_little(i + j, left_over[j]); });
	for (auto &parcel : left_over)
		free(parcel.load());
}

TEST(ThreadMemory, DoesNotGrowWithTheNumberOfThreads)
{
	many_short_threads(2000);
	size_t before = rss();
	many_short_threads(20000);
	EXPECT_LT(rss(), before + 16 * MiB);
}

} // namespace
