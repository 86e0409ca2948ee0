// Redirecting the calls that this very program makes.
#include <gtest/gtest.h>

#include <cstdio>
#include <iterator>
#include <unistd.h>

extern "C" {
#include "kernel/got.h"
#include "kernel/kernel.h"
}

namespace
{

pid_t own_getppid()
{
	return 42;
}

uid_t own_getuid()
{
	return 43;
}

int inside; // of the object that makes the calls

class Got : public testing::Test
{
      protected:
	void SetUp() override
	{
		machine_init();
	}

	struct got_patch patches_[2] = {
		{"getppid", reinterpret_cast<void *>(own_getppid), nullptr},
		{"getuid", reinterpret_cast<void *>(own_getuid), nullptr},
	};

	void patch()
	{
		got_patch(&inside, patches_, std::size(patches_));
	}

	// To what was there before.
	void TearDown() override
	{
		if (!patches_[0].old)
			return;
		for (struct got_patch &p : patches_)
			p.replacement = p.old;
		patch();
		for (struct got_patch &p : patches_)
			p.old = nullptr;
	}
};

TEST_F(Got, RedirectsCallsAndBack)
{
	pid_t parent = getppid();
	uid_t user = getuid();

	patch();
	ASSERT_NE(patches_[0].old, nullptr);
	ASSERT_NE(patches_[1].old, nullptr);
	EXPECT_EQ(getppid(), 42);
	EXPECT_EQ(getuid(), 43u);
	EXPECT_EQ(reinterpret_cast<pid_t (*)()>(patches_[0].old)(), parent) << "the old one works";
	TearDown();
	EXPECT_EQ(getppid(), parent);
	EXPECT_EQ(getuid(), user);
}

TEST_F(Got, LeavesAloneWhatIsNotImported)
{
	struct got_patch none[] = {
		{"no_such_function", reinterpret_cast<void *>(own_getppid), nullptr}};
	pid_t parent = getppid();

	got_patch(&inside, none, 1);
	EXPECT_EQ(none[0].old, nullptr);
	EXPECT_EQ(getppid(), parent);
}

TEST_F(Got, LeavesAllAloneOutsideOfObjects)
{
	int local = 0;

	got_patch(&local, patches_, std::size(patches_));
	EXPECT_EQ(patches_[0].old, nullptr);
	EXPECT_NE(getppid(), 42);
}

TEST_F(Got, TellsObjectsApart)
{
	EXPECT_TRUE(got_same_object(&inside, reinterpret_cast<void *>(got_patch)));
	EXPECT_FALSE(got_same_object(&inside, stdout)) << "libc's";
	int local = 0;
	EXPECT_FALSE(got_same_object(&local, &local)) << "of no object at all";
}

} // namespace
