/*
 * release_support.h: what the tests of giving back and healing share: a heap of objects whose
 * contents are known, and what the kernel and the library say of it.
 *
 * What measures and what waits does not allocate, so that a program that waits really is idle.
 */
#ifndef UNSPLIT_TESTS_RELEASE_SUPPORT_H
#define UNSPLIT_TESTS_RELEASE_SUPPORT_H

#include "support.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <unistd.h>
#include <vector>

namespace release
{

using support::MiB;

/* ---- what is known of memory ---- */

/* Bytes charged to our memory cgroup; bytes of anonymous memory where we have none of our own
 * (release_cgroup.c). */
size_t held();

/* A number of the library's report, such as reported("heap", "coverage").  Ends the program if
 * the report has none. */
double reported(const char *section, const char *key);

inline double coverage()
{
	return reported("heap", "coverage");
}

inline uint64_t statistic(const char *key)
{
	return static_cast<uint64_t>(reported("stats", key));
}

/* Whether UNSPLIT_CONF asks for release:keep, which never demotes. */
bool keeps();

/* Ask every 50 ms; false if it did not become true in so many seconds: far more than it should
 * take on a busy machine. */
template <typename Condition> bool wait_until(Condition &&condition, unsigned seconds = 40)
{
	using Clock = std::chrono::steady_clock;

	for (auto end = Clock::now() + std::chrono::seconds(seconds); Clock::now() < end;) {
		if (condition())
			return true;
		usleep(50000);
	}
	return condition();
}

/* ---- a heap whose contents are known ---- */

struct Object {
	unsigned char *data;
	uint32_t size;
	uint32_t seed; /* of its contents */
};

struct Shape {
	unsigned threads;
	size_t bytes;   /* when it is full */
	unsigned bits;  /* objects have 1 to 2^bits bytes, log-uniform */
	size_t stretch; /* so many neighbours in the order of allocation are freed together */
};

/* Each thread owns an equal part, allocates, writes, checks and frees it. */
class Population
{
      public:
	explicit Population(const Shape &shape);
	~Population();

	void grow(unsigned percent = 100); /* until it is so full again */
	void drain(unsigned percent);      /* free so much of it at random */
	void check();                      /* all contents */
	/* All threads read and write objects until the condition is met; false if it was
	 * not met in time. */
	bool busy_until(const std::function<bool()> &condition, unsigned seconds = 40);

	/* Objects that were found damaged, ever. */
	size_t damaged() const;
	/* Bytes asked for, with the list of objects itself. */
	size_t live() const;

	template <typename Action> void each(Action &&action)
	{
		for (Part &part : parts_)
			for (Object &object : part.objects)
				if (object.data)
					action(object);
	}

      private:
	struct Part {
		explicit Part(unsigned number) : random(number + 1)
		{
		}

		support::Random random;
		std::vector<Object> objects;
		size_t bytes = 0;
		size_t damaged = 0;
	};

	void in_parallel(const std::function<void(Part &)> &work);
	void serve(Part &part);
	void make(Part &part, Object &object);
	void drop(Part &part, Object &object);
	static void verify(Part &part, const Object &object);
	void refill(Part &part, unsigned percent);
	void empty(Part &part, unsigned percent);
	void use(Part &part);

	const Shape shape_;
	std::vector<Part> parts_;
	std::vector<std::thread> crew_;
	/* What the crew is to do: a new round each time the number goes up. */
	std::function<void(Part &)> work_;
	std::atomic<unsigned> round_{0}, busy_{0};
	std::atomic<bool> over_{false};
};

} // namespace release

#endif
