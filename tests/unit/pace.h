// Lets one thread keep house beside others that work, without crowding them out.
#ifndef UNSPLIT_TESTS_UNIT_PACE_H
#define UNSPLIT_TESTS_UNIT_PACE_H

#include <atomic>
#include <cstddef>
#include <thread>

namespace test
{

// A thread that takes a lock again the moment it let go of it can keep those asleep on it away for
// minutes: locks are not fair.  So it waits after each round until somebody else got something
// done.
class Pace
{
      public:
	void work_done()
	{
		done.fetch_add(1, std::memory_order_relaxed);
	}
	// Only one thread may wait, and whatever ends its loop must be followed by work_done().
	void wait_for_work()
	{
		while (done.load(std::memory_order_relaxed) == seen)
			std::this_thread::yield();
		seen = done.load(std::memory_order_relaxed);
	}

      private:
	std::atomic<size_t> done{0};
	size_t seen = 0;
};

} // namespace test

#endif
