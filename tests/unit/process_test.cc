// The flag against huge pages: who has a say, what children get, and kernels that cannot or will
// not.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

extern "C" {
#include "options.h"
#include "process/thp.h"
}

namespace
{

// A kernel: what it has, what it knows, and what it was told.
std::atomic<int> flag, calls;
bool knows_advised;
int refusal; // 0: none

const struct kernel_thp hooks = {
	[](enum thp_flag wanted) {
		calls++;
		if (refusal)
			return refusal;
		if (wanted == THP_FLAG_ADVISED && !knows_advised)
			return EINVAL;
		flag = wanted;
		return 0;
	},
	[] { return refusal ? -refusal : flag.load(); },
};

class Process : public testing::Test
{
      protected:
	void SetUp() override
	{
		kernel_thp = &hooks;
		flag = THP_FLAG_CLEAR;
		calls = 0;
		knows_advised = true;
		refusal = 0;
		options_default(&options);
		process_thp_reset();
	}
	void TearDown() override
	{
		EXPECT_TRUE(process_thp_consistent());
		process_thp_reset();
		kernel_thp = &kernel_thp_linux;
	}
};

// What a program has that is started now.
int flag_of_child()
{
	process_thp_child_begin();
	int inherited = flag;
	process_thp_child_end();
	return inherited;
}

// ---- the program's flag ----

struct Row {
	unsigned app_thp;
	bool knows_advised;
	enum thp_flag set;
	int error, effect, heard, child;
};

class ProgramsFlag : public Process, public testing::WithParamInterface<Row>
{
};

TEST_P(ProgramsFlag, IsTakenAsTheOptionSays)
{
	const Row &row = GetParam();

	options.app_thp = row.app_thp;
	knows_advised = row.knows_advised;
	EXPECT_EQ(process_thp_set(row.set), row.error);
	EXPECT_EQ(flag, row.effect);
	EXPECT_EQ(process_thp_get(), row.heard);
	EXPECT_EQ(flag_of_child(), row.child);
	EXPECT_EQ(flag, row.effect) << "after the child was started";
	EXPECT_TRUE(process_thp_consistent());
	EXPECT_EQ(process_thp_set(THP_FLAG_CLEAR), 0);
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	EXPECT_EQ(process_thp_get(), THP_FLAG_CLEAR);
}

INSTANTIATE_TEST_SUITE_P(
	All, ProgramsFlag,
	testing::Values(Row{APP_THP_HONOUR, true, THP_FLAG_NEVER, 0, 1, 1, 1},
                        Row{APP_THP_HONOUR, true, THP_FLAG_ADVISED, 0, 3, 3, 3},
                        Row{APP_THP_HONOUR, false, THP_FLAG_NEVER, 0, 1, 1, 1},
                        Row{APP_THP_HONOUR, false, THP_FLAG_ADVISED, EINVAL, 0, 0, 0},
                        Row{APP_THP_SOFTEN, true, THP_FLAG_NEVER, 0, 3, 1, 0},
                        Row{APP_THP_SOFTEN, true, THP_FLAG_ADVISED, 0, 3, 3, 0},
                        Row{APP_THP_SOFTEN, false, THP_FLAG_NEVER, 0, 1, 1, 1},
                        Row{APP_THP_SOFTEN, false, THP_FLAG_ADVISED, EINVAL, 0, 0, 0},
                        Row{APP_THP_IGNORE, true, THP_FLAG_NEVER, 0, 0, 1, 0},
                        Row{APP_THP_IGNORE, true, THP_FLAG_ADVISED, 0, 0, 3, 0},
                        Row{APP_THP_IGNORE, false, THP_FLAG_NEVER, 0, 0, 1, 0},
                        Row{APP_THP_IGNORE, false, THP_FLAG_ADVISED, EINVAL, 0, 0, 0}));

TEST_F(Process, KernelIsAskedUntilTheProgramSetAFlag)
{
	flag = THP_FLAG_NEVER;
	EXPECT_EQ(process_thp_get(), THP_FLAG_NEVER);
	flag = THP_FLAG_CLEAR;
	EXPECT_EQ(process_thp_get(), THP_FLAG_CLEAR);
	EXPECT_EQ(calls, 0);
}

// What a parent set is never weakened, and children get it as they would without us.
TEST_F(Process, InheritedFlagStays)
{
	flag = THP_FLAG_NEVER;
	ASSERT_EQ(process_thp_set(THP_FLAG_NEVER), 0);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	EXPECT_EQ(flag_of_child(), THP_FLAG_NEVER);
	process_thp_apply(THP_ADVISED);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	ASSERT_EQ(process_thp_set(THP_FLAG_CLEAR), 0);
	EXPECT_EQ(flag, THP_FLAG_ADVISED);
	EXPECT_EQ(flag_of_child(), THP_FLAG_CLEAR);
}

TEST_F(Process, RefusalIsToldToTheProgram)
{
	refusal = EPERM;
	EXPECT_EQ(process_thp_set(THP_FLAG_NEVER), EPERM);
	EXPECT_EQ(process_thp_set(THP_FLAG_ADVISED), EPERM);
	EXPECT_EQ(process_thp_get(), -EPERM);
	EXPECT_FALSE(process_thp_armed);
}

// ---- the user's ----

TEST_F(Process, NothingIsDoneByDefault)
{
	process_thp_start();
	process_thp_apply(THP_DEFAULT);
	process_thp_apply(THP_SYSTEM);
	EXPECT_FALSE(process_thp_exec_begin());
	process_thp_exec_failed(false);
	flag_of_child();
	process_thp_after_fork();
	EXPECT_EQ(calls, 0);
}

TEST_F(Process, OptionIsAppliedAtStart)
{
	options.process_thp = PROCESS_THP_ADVISED;
	process_thp_start();
	EXPECT_EQ(flag, THP_FLAG_ADVISED);
	EXPECT_EQ(process_thp_get(), THP_FLAG_CLEAR) << "the program set nothing";
	EXPECT_EQ(flag_of_child(), THP_FLAG_CLEAR);
	process_thp_reset();
	options.process_thp = PROCESS_THP_OFF;
	process_thp_start();
	EXPECT_EQ(flag, THP_FLAG_NEVER);
}

TEST_F(Process, LastSettingCounts)
{
	process_thp_apply(THP_ADVISED);
	process_thp_apply(THP_OFF);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	process_thp_apply(THP_DEFAULT);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	int before = calls;
	process_thp_apply(THP_OFF);
	EXPECT_EQ(calls, before) << "there was nothing to do";
	process_thp_apply(THP_SYSTEM);
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	EXPECT_FALSE(process_thp_armed);
}

TEST_F(Process, ProgramsClearLeavesTheUsersSetting)
{
	process_thp_apply(THP_ADVISED);
	ASSERT_EQ(process_thp_set(THP_FLAG_NEVER), 0);
	ASSERT_EQ(process_thp_set(THP_FLAG_CLEAR), 0);
	EXPECT_EQ(flag, THP_FLAG_ADVISED);
	EXPECT_TRUE(process_thp_armed);
}

TEST_F(Process, StricterOneWins)
{
	options.app_thp = APP_THP_HONOUR;
	process_thp_apply(THP_ADVISED);
	ASSERT_EQ(process_thp_set(THP_FLAG_NEVER), 0);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	EXPECT_EQ(flag_of_child(), THP_FLAG_NEVER);
	process_thp_apply(THP_OFF);
	ASSERT_EQ(process_thp_set(THP_FLAG_ADVISED), 0);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	EXPECT_EQ(flag_of_child(), THP_FLAG_ADVISED);
}

// The complaint comes once in a process: hence one test for all of it.
TEST_F(Process, WhatTheKernelCannotIsSaidOnce)
{
	knows_advised = false;
	testing::internal::CaptureStderr();
	process_thp_apply(THP_ADVISED);
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	EXPECT_FALSE(process_thp_armed);
	process_thp_apply(THP_OFF);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	process_thp_apply(THP_ADVISED);
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	EXPECT_EQ(testing::internal::GetCapturedStderr(),
	          "unsplit: huge pages for advised memory only (process_thp or a rule's thp): this "
	          "kernel cannot, Linux 6.18 can; nothing is set\n");
	refusal = EPERM;
	process_thp_apply(THP_OFF);
	EXPECT_FALSE(process_thp_armed);
}

// ---- children ----

TEST_F(Process, CallsThatOverlapAreCounted)
{
	process_thp_apply(THP_OFF);
	process_thp_child_begin();
	process_thp_child_begin();
	process_thp_child_end();
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	process_thp_child_end();
	EXPECT_EQ(flag, THP_FLAG_NEVER);
	process_thp_child_end();
	EXPECT_TRUE(process_thp_consistent()) << "one end too many";
}

TEST_F(Process, WhatIsSetMeanwhileWaits)
{
	process_thp_child_begin();
	process_thp_apply(THP_OFF);
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	ASSERT_EQ(process_thp_set(THP_FLAG_NEVER), 0);
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	process_thp_child_end();
	EXPECT_EQ(flag, THP_FLAG_NEVER);
}

TEST_F(Process, ExecThatFails)
{
	process_thp_apply(THP_OFF);
	bool counted = process_thp_exec_begin();
	EXPECT_TRUE(counted);
	EXPECT_EQ(flag, THP_FLAG_CLEAR);
	process_thp_exec_failed(counted);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
}

// A child that no fork handler saw, as one that shares its parent's memory: it counts nothing.
TEST_F(Process, ExecInAChildThatIsNotTheOwner)
{
	process_thp_apply(THP_OFF);
	pid_t pid = _Fork();
	if (pid == 0) {
		bool counted = process_thp_exec_begin();
		bool good = !counted && flag == THP_FLAG_CLEAR;

		process_thp_exec_failed(counted);
		good = good && flag == THP_FLAG_NEVER;
		process_thp_child_begin(); // as vfork() in the parent
		int before = calls;
		counted = process_thp_exec_begin();
		good = good && !counted && flag == THP_FLAG_CLEAR && calls == before;
		process_thp_exec_failed(counted);
		_exit(good && flag == THP_FLAG_CLEAR ? 0 : 1);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	EXPECT_EQ(status, 0);
}

// Forked while another thread started a program: that thread is not there to end it.
TEST_F(Process, ForkedMeanwhile)
{
	process_thp_apply(THP_OFF);
	process_thp_child_begin();
	pid_t pid = fork();
	if (pid == 0) {
		process_thp_after_fork();
		bool good = flag == THP_FLAG_NEVER && process_thp_consistent();

		good = good && process_thp_exec_begin() && flag == THP_FLAG_CLEAR;
		_exit(good ? 0 : 1);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	EXPECT_EQ(status, 0);
	process_thp_child_end();
	EXPECT_EQ(flag, THP_FLAG_NEVER);
}

// While a call is counted the flag is clear, whatever other threads do.
TEST_F(Process, ThreadsAtOnce)
{
	std::atomic<int> wrong{0};
	std::vector<std::thread> threads;

	process_thp_apply(THP_ADVISED); // to try what the kernel knows may show
	for (int i = 0; i < 4; i++)
		threads.emplace_back([&, i] {
			for (int j = 0; j < 2000; j++) {
				if (i == 0)
					process_thp_apply(j % 2 ? THP_OFF : THP_ADVISED);
				else
					wrong += flag_of_child() != THP_FLAG_CLEAR;
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(flag, THP_FLAG_NEVER);
}

} // namespace
