/* A fork whose parent goes on writing breaks the parent's huge pages (K4): they are healed when the
 * child is gone.  Reads /proc/vmstat: runs alone. */
#include "release_support.h"

#include <gtest/gtest.h>
#include <map>
#include <sys/wait.h>

using namespace release;
using support::partial_splits;

namespace
{

constexpr size_t unit = 2 * MiB;
constexpr Shape shape = {1, 512 * MiB, 18, 1};

/* A child that lives until it is told to look at its memory and end: with status 0 if that is
 * still what it was. */
class Child
{
      public:
	explicit Child(Population &heap)
	{
		if (pipe(pipe_) != 0)
			abort();
		pid_ = fork();
		if (pid_ == 0)
			live(heap);
		close(pipe_[0]);
	}

	int end()
	{
		int status = -1;

		close(pipe_[1]);
		waitpid(pid_, &status, 0);
		return status;
	}

      private:
	int pipe_[2];
	pid_t pid_;

	[[noreturn]] void live(Population &heap)
	{
		char unused;

		close(pipe_[1]);
		if (read(pipe_[0], &unused, 1) != 0)
			_exit(2);
		heap.check();
		_exit(heap.damaged() ? 1 : 0);
	}
};

/* The first object of every second unit. */
std::vector<Object *> one_in_every_second_unit(Population &heap)
{
	std::map<uintptr_t, Object *> first;
	std::vector<Object *> chosen;

	heap.each([&](Object &object) {
		first.emplace(reinterpret_cast<uintptr_t>(object.data) / unit, &object);
	});
	for (auto &[address, object] : first)
		if (address % 2 == 0)
			chosen.push_back(object);
	return chosen;
}

TEST(Fork, WhatItsWritesBrokeIsHealed)
{
	Population heap(shape);

	ASSERT_TRUE(wait_until([] { return coverage() >= 95; }));
	int64_t partial = partial_splits();
	std::vector<Object *> written = one_in_every_second_unit(heap);

	Child child(heap);
	for (Object *object : written)
		object->data[0] ^= 0xff;
	double broken = coverage();
	EXPECT_LT(broken, 75) << "the writes broke nothing: there is nothing to heal";
	EXPECT_EQ(child.end(), 0) << "the child did not see its old contents";

	EXPECT_TRUE(wait_until([] { return coverage() >= 95; }))
		<< broken << " % huge with the child, " << coverage() << " % at the end, "
		<< statistic("healed_units") << " units healed";
	/* Each of these is a unit that the parent wrote to: the kernel splits its mapping, and when
	 * the child that held the rest of the huge page is gone, queues it (K4). */
	EXPECT_LE(partial_splits() - partial, static_cast<int64_t>(written.size()));
	RecordProperty("written", static_cast<int>(written.size()));
	RecordProperty("deferred", static_cast<int>(partial_splits() - partial));

	for (Object *object : written)
		object->data[0] ^= 0xff;
	heap.check();
	EXPECT_EQ(heap.damaged(), 0u);
}

} // namespace
