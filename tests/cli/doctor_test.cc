// `unsplit doctor`: every verdict, on trees that stand for other machines, and the truth on this
// one.
#include "support.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

const std::string thp = "sys/kernel/mm/transparent_hugepage/";
const std::string unit = "2097152\n"; // what the trees say, whatever this machine has

// A machine on which nothing is wrong; tests make something wrong.
class Doctor : public testing::Test
{
      protected:
	void SetUp() override
	{
		tree.write(thp + "hpage_pmd_size", unit);
		tree.write(thp + "enabled", "always [madvise] never\n");
		tree.write(thp + "defrag", "always defer defer+madvise [madvise] never\n");
		tree.write(thp + "khugepaged/pages_to_scan", "4096\n");
		tree.write(thp + "khugepaged/scan_sleep_millisecs", "10000\n");
		tree.write(thp + "khugepaged/max_ptes_none", "511\n");
		tree.write(thp + "khugepaged/defrag", "1\n");
		tree.write("proc/sys/vm/overcommit_memory", "0\n");
		tree.write("proc/self/cgroup", "0::/\n");
		free_blocks(5, 2);
	}
	// Free blocks of order 9 and 10.
	void free_blocks(int order9, int order10)
	{
		std::string nine = std::to_string(order9), ten = std::to_string(order10);

		tree.write("proc/buddyinfo", "Node 0, zone      DMA  1 0 0 0 0 0 0 0 1 0 0\n"
		                             "Node 0, zone   Normal  182 94 42 32 106 30 21 5 4 " +
		                                     nine + " " + ten + "\n");
	}
	Outcome doctor(const std::function<void()> &before = nullptr)
	{
		return unsplit({"doctor", "--root", tree.path()}, {}, before);
	}
	// A line of the given label says so, and huge pages will be given.
	void expect_given(const std::string &line, const std::function<void()> &before = nullptr)
	{
		Outcome o = doctor(before);

		EXPECT_EQ(o.status, 0) << o.out;
		EXPECT_NE(flat(o.out).find(line), std::string::npos) << o.out;
		EXPECT_NE(o.out.find("\nHuge pages will be given.\n"), std::string::npos) << o.out;
		EXPECT_EQ(o.err, "");
	}
	void expect_not_given(const std::string &line, const std::string &remedy,
	                      const std::function<void()> &before = nullptr)
	{
		Outcome o = doctor(before);

		EXPECT_EQ(o.status, 1) << o.out;
		EXPECT_NE(flat(o.out).find("BAD " + line + " change: " + remedy), std::string::npos)
			<< o.out;
		EXPECT_NE(flat(o.out).find("will NOT be given: " + line +
		                           ". The one thing to "
		                           "change: " +
		                           remedy),
		          std::string::npos)
			<< o.out;
	}

	Directory tree;
};

std::string tee(const std::string &value, const std::string &knob)
{
	return "echo " + value + " | sudo tee /" + knob;
}

TEST_F(Doctor, FindsNothingWrongWithAGoodMachine)
{
	Outcome o = doctor();

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.out.find("BAD"), std::string::npos) << o.out;
	EXPECT_EQ(o.out.find("warn"), std::string::npos) << o.out;
	expect_given("ok a huge page has 2 MiB here");
	expect_given("enabled is \"madvise\": who asks gets huge pages, and we ask");
}

TEST_F(Doctor, NeedsAKernelWithHugePages)
{
	tree.remove(thp + "hpage_pmd_size");
	expect_not_given("this kernel has no huge pages of the transparent kind",
	                 "boot a kernel that is built with CONFIG_TRANSPARENT_HUGEPAGE=y");
}

TEST_F(Doctor, NeedsHugePagesOfAReasonableSize)
{
	tree.write(thp + "hpage_pmd_size", "536870912\n");
	expect_not_given("a huge page has 512 MiB here, too much for a heap",
	                 "boot a kernel with base pages of 4 KiB");
}

TEST_F(Doctor, Mode)
{
	tree.write(thp + "enabled", "[always] madvise never\n");
	expect_given("enabled is \"always\": every big mapping gets huge pages");
	tree.write(thp + "enabled", "always madvise [never]\n");
	expect_not_given("/" + thp + "enabled is \"never\": no program gets huge pages",
	                 tee("madvise", thp + "enabled"));
	tree.remove(thp + "enabled");
	expect_not_given("/" + thp + "enabled cannot be read", "mount sysfs on /sys");
}

// The knob of the size decides, unless it inherits.
TEST_F(Doctor, ModeOfTheSize)
{
	std::string knob = thp + "hugepages-2048kB/enabled";

	tree.write(knob, "always inherit madvise [never]\n");
	expect_not_given("/" + knob + " is \"never\": no program gets huge pages",
	                 tee("madvise", knob));
	tree.write(thp + "enabled", "always madvise [never]\n");
	tree.write(knob, "always inherit [madvise] never\n");
	expect_given("/" + knob + " is \"madvise\"");
	tree.write(knob, "always [inherit] madvise never\n");
	expect_not_given("/" + thp + "enabled is \"never\": no program gets huge pages",
	                 tee("madvise", thp + "enabled"));
}

TEST_F(Doctor, Defrag)
{
	for (const char *mode : {"[always] defer defer+madvise madvise never",
	                         "always defer [defer+madvise] madvise never"}) {
		tree.write(thp + "defrag", mode);
		expect_given(": a page fault makes room for a huge page");
	}
	for (const char *mode : {"always [defer] defer+madvise madvise never",
	                         "always defer defer+madvise madvise [never]"}) {
		tree.write(thp + "defrag", mode);
		expect_given("a page fault takes a huge page only if one is free change: " +
		             tee("madvise", thp + "defrag"));
	}
}

TEST_F(Doctor, FreeBlocks)
{
	// Two of order 10 hold two huge pages each.
	expect_given("ok 9 huge pages (18 MiB) could be had from free memory now");
	free_blocks(0, 0);
	std::string pieces = "warn free memory is in pieces smaller than a huge page "
			     "(/proc/buddyinfo)";
	std::string compact = " change: " + tee("1", "proc/sys/vm/compact_memory");
	expect_given(pieces + compact);
	tree.write(thp + "defrag", "always defer defer+madvise madvise [never]");
	expect_given(pieces + ", and defrag does not let a page fault put them together" + compact);
}

TEST_F(Doctor, Khugepaged)
{
	expect_given("ok khugepaged looks at 4096 pages every 10000 ms, and makes a unit huge that "
	             "lacks at most 511 pages");
	tree.write(thp + "khugepaged/defrag", "0\n");
	expect_given("may stay there change: " + tee("1", thp + "khugepaged/defrag"));
}

TEST_F(Doctor, KhugepagedLimits)
{
	tree.write(thp + "khugepaged/max_ptes_shared", "256\n");
	tree.write(thp + "khugepaged/max_ptes_swap", "64\n");
	tree.write(thp + "khugepaged/alloc_sleep_millisecs", "60000\n");
	expect_given("ok khugepaged leaves a unit alone if a fork shares more than 256 of its "
	             "pages, or more than 64 are swapped out, and waits 60000 ms after a failure");
}

TEST_F(Doctor, OtherSizes)
{
	tree.write(thp + "hugepages-2048kB/enabled", "always [inherit] madvise never\n");
	tree.write(thp + "hugepages-64kB/enabled", "always inherit madvise [never]\n");
	tree.write(thp + "hugepages-1024kB/enabled", "always inherit madvise [never]\n");
	expect_given("ok no other sizes of huge pages (mTHP) are given");
	tree.write(thp + "hugepages-1024kB/enabled", "always [inherit] madvise never\n");
	tree.write(thp + "hugepages-64kB/enabled", "[always] inherit madvise never\n");
	expect_given("ok other sizes of huge pages (mTHP) are given too: 64 kB (always), 1024 kB "
	             "(inherit); where a page fault finds no huge page it may get one of these");
}

TEST_F(Doctor, SharedMemory)
{
	const char *others = "always within_size advise never deny force ";
	auto with = [&](const std::string &mode) { return others + ("[" + mode + "]\n"); };

	for (const auto &[mode, meaning] : std::map<std::string, std::string>{
		     {"never", "shared mappings stay on base pages; the heap is private"},
		     {"deny", "shared mappings stay on base pages; the heap is private"},
		     {"advise", "shared mappings are huge where they are advised, and we advise"},
		     {"within_size", "shared mappings are huge as far as they are filled"},
		     {"always", "all shared mappings may be huge"},
		     {"force", "all shared mappings may be huge"}}) {
		tree.write(thp + "shmem_enabled", with(mode));
		expect_given("ok shmem_enabled is \"" + mode + "\": " + meaning);
	}
	// The knob of the size decides, unless it inherits.
	tree.write(thp + "shmem_enabled", with("force"));
	tree.write(thp + "hugepages-2048kB/shmem_enabled", with("advise"));
	expect_given("ok shmem_enabled is \"advise\"");
	tree.write(thp + "hugepages-2048kB/shmem_enabled", with("inherit"));
	expect_given("ok shmem_enabled is \"force\"");
}

TEST_F(Doctor, ZeroPage)
{
	tree.write(thp + "use_zero_page", "1\n");
	expect_given("ok use_zero_page is 1: memory that is only read takes no huge page yet");
	tree.write(thp + "use_zero_page", "0\n");
	expect_given("warn use_zero_page is 0: memory that is only read takes a whole huge page "
	             "change: " +
	             tee("1", thp + "use_zero_page"));
}

TEST_F(Doctor, UnderusedPages)
{
	tree.write(thp + "shrink_underused", "1\n");
	expect_given("ok shrink_underused is 1, but does nothing while khugepaged/max_ptes_none is "
	             "511");
	tree.write(thp + "khugepaged/max_ptes_none", "100\n");
	expect_given("ok shrink_underused is 1: under pressure the kernel splits huge pages with "
	             "more than 100 pages of zeros");
	tree.write(thp + "shrink_underused", "0\n");
	expect_given("ok shrink_underused is 0: the kernel never splits huge pages that hold "
	             "mostly zeros");
}

TEST_F(Doctor, BlockTypes)
{
	auto types = [](const std::string &counts) {
		return "Page block order: 9\nPages per block:  512\n\n"
		       "Free pages count per migrate type at order       0      1\n"
		       "Node    0, zone   Normal, type    Unmovable    526    >99\n\n"
		       "Number of blocks type     Unmovable      Movable  Reclaimable\n"
		       "Node 0, zone      DMA            2            6            0\n"
		       "Node 0, zone   Normal " +
		       counts + "\n";
	};

	tree.write("proc/pagetypeinfo", types("10 80 2"));
	expect_given("ok 86 % of the memory's blocks hold what can be moved");
	tree.write("proc/pagetypeinfo", types("50 24 18"));
	expect_given("warn only 30 % of the memory's blocks hold what can be moved: elsewhere no "
	             "room for huge pages can be made (pagetypeinfo) change: drop caches");
	tree.write("proc/pagetypeinfo", "");
	EXPECT_EQ(doctor().out.find("pagetypeinfo"), std::string::npos);
}

TEST_F(Doctor, Pressure)
{
	const std::string rest = " avg60=9.00 avg300=9.00 total=7\nfull avg10=9.00\n";

	expect_given("ok no /proc/pressure/memory");
	tree.write("proc/pressure/memory", "some avg10=4.99" + rest);
	expect_given("ok memory is not short: tasks waited for it 4.99 % of the last 10 s");
	tree.write("proc/pressure/memory", "some avg10=5.01" + rest);
	expect_given("warn memory is short: tasks waited for it 5.01 % of the last 10 s "
	             "(/proc/pressure/memory); we give back at once then change: ");
}

TEST_F(Doctor, Json)
{
	Outcome o = unsplit({"doctor", "--root", tree.path(), "--json"});

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(flat(o.out).find("{ \"version\": 1, \"checks\": [ { \"verdict\": \"ok\", "
	                           "\"text\": \"a huge page has 2 MiB here\", \"change\": null },"),
	          0u)
		<< o.out;
	EXPECT_NE(flat(o.out).find("], \"given\": 1, \"reason\": null, \"change\": null }"),
	          std::string::npos)
		<< o.out;
	EXPECT_EQ(o.out.find("Huge pages will"), std::string::npos);
	tree.write(thp + "enabled", "always madvise [never]\n");
	o = unsplit({"doctor", "--json", "--root", tree.path()});
	EXPECT_EQ(o.status, 1);
	EXPECT_NE(flat(o.out).find("\"given\": 0, \"reason\": \"/" + thp +
	                           "enabled is \\\"never\\\": no program gets huge pages\", "
	                           "\"change\": \"" +
	                           tee("madvise", thp + "enabled") + "\" }"),
	          std::string::npos)
		<< o.out;
}

// ---- NUMA nodes ----

const std::string node = "sys/devices/system/node/";

// Nodes 0 and 2, each with memory in two zones.
void two_nodes(Directory &tree, int blocks_of_second)
{
	tree.write(node + "has_memory", "0,2\n");
	tree.write(node + "node0/meminfo", "Node 0 MemTotal: 9 kB\nNode 0 MemFree:   1048576 kB\n");
	tree.write(node + "node2/meminfo", "Node 2 MemTotal: 9 kB\nNode 2 MemFree:   3145728 kB\n");
	tree.write("proc/buddyinfo", "Node 0, zone      DMA  1 0 0 0 0 0 0 0 1 1 0\n"
	                             "Node 0, zone   Normal  1 0 0 0 0 0 0 0 1 3 2\n"
	                             "Node 2, zone   Normal  1 0 0 0 0 0 0 0 1 " +
	                                     std::to_string(blocks_of_second) + " 0\n");
}

TEST_F(Doctor, TellsWhatIsFreeOnEachNode)
{
	two_nodes(tree, 6);
	expect_given("ok memory is on 2 NUMA nodes, of which there is free: node 0 1 GiB (8 huge "
	             "pages), node 2 3 GiB (6 huge pages)");
	Outcome o = unsplit({"doctor", "--root", tree.path(), "--json"});
	EXPECT_NE(flat(o.out).find("\"nodes\": [ { \"node\": 0, \"free\": 1073741824, "
	                           "\"huge_pages_free\": 8 }, { \"node\": 2, \"free\": 3221225472, "
	                           "\"huge_pages_free\": 6 } ]"),
	          std::string::npos)
		<< o.out;
}

TEST_F(Doctor, WarnsOfANodeWithoutFreeBlocks)
{
	two_nodes(tree, 0);
	expect_given("warn memory is on 2 NUMA nodes, of which there is free: node 0 1 GiB (8 huge "
	             "pages), node 2 3 GiB (0 huge pages); node 2 has none in pieces that are big "
	             "enough change: " +
	             tee("1", node + "node2/compact"));
}

TEST_F(Doctor, OneNodeIsNotWorthALine)
{
	for (const char *list : {"0\n", "", "\n"}) {
		tree.write(node + "has_memory", list);
		EXPECT_EQ(doctor().out.find("NUMA"), std::string::npos) << list;
	}
}

TEST_F(Doctor, Overcommit)
{
	tree.write("proc/sys/vm/overcommit_memory", "2\n");
	tree.write("proc/meminfo",
	           "MemTotal: 1 kB\nCommitLimit:  2097152 kB\nCommitted_AS: 1048576 "
	           "kB\n");
	expect_given(
		"warn overcommit_memory is 2: memory is counted when it is promised, and 1 GiB "
		"is left change: sudo sysctl vm.overcommit_memory=0");
	tree.write("proc/meminfo", "CommitLimit: 1024 kB\nCommitted_AS: 2048 kB\n");
	expect_not_given("overcommit_memory is 2, and only 0 bytes may still be promised",
	                 "sudo sysctl vm.overcommit_memory=0");
}

TEST_F(Doctor, CgroupVersion2)
{
	std::string group = "sys/fs/cgroup/a/b/";

	tree.write("proc/self/cgroup", "0::/a/b\n");
	tree.write(group + "memory.max", "max\n");
	expect_given("ok no memory cgroup limits this process");
	tree.write(group + "memory.max", "1073741824\n");
	tree.write(group + "memory.current", "536870912\n");
	expect_given("ok the memory cgroup has 512 MiB left of 1 GiB");
	tree.write(group + "memory.current", "1041235968\n");
	expect_given("warn the memory cgroup has only 31 MiB left of 1 GiB change: raise the limit "
	             "in /" +
	             group + "memory.max");
	tree.write(group + "memory.current", "1073700000\n");
	expect_not_given("the memory cgroup has 40.84 KiB left of 1 GiB: no room for a huge page",
	                 "raise the limit in /" + group + "memory.max");
	// Page cache that nobody uses gives way.
	tree.write(group + "memory.stat", "anon 7\ninactive_file 536870912\nactive_file 5\n");
	expect_given("ok the memory cgroup has 512 MiB left of 1 GiB");
}

TEST_F(Doctor, CgroupAboveLimitsToo)
{
	tree.write("proc/self/cgroup", "0::/a/b\n");
	tree.write("sys/fs/cgroup/a/b/memory.max", "1073741824\n");
	tree.write("sys/fs/cgroup/a/b/memory.current", "0\n");
	tree.write("sys/fs/cgroup/a/memory.max", "3145728\n");
	tree.write("sys/fs/cgroup/a/memory.current", "0\n");
	expect_not_given("the memory cgroup has 3 MiB left of 3 MiB: no room for a huge page",
	                 "raise the limit in /sys/fs/cgroup/a/memory.max");
}

TEST_F(Doctor, CgroupVersion1)
{
	std::string group = "sys/fs/cgroup/memory/a/";

	tree.write("proc/self/cgroup", "9:cpu:/z\n4:memory:/a\n0::/\n");
	tree.write(group + "memory.limit_in_bytes", "9223372036854771712\n");
	tree.write(group + "memory.usage_in_bytes", "1\n");
	expect_given("ok no memory cgroup limits this process");
	tree.write(group + "memory.limit_in_bytes", "268435456\n");
	tree.write(group + "memory.usage_in_bytes", "134217728\n");
	expect_given("ok the memory cgroup has 128 MiB left of 256 MiB");
	tree.write(group + "memory.usage_in_bytes", "268435456\n");
	expect_not_given("the memory cgroup has 0 bytes left of 256 MiB: no room for a huge page",
	                 "raise the limit in /" + group + "memory.limit_in_bytes");
	tree.write(group + "memory.stat", "inactive_file 0\ntotal_inactive_file 134217728\n");
	expect_given("ok the memory cgroup has 128 MiB left of 256 MiB");
}

TEST_F(Doctor, ProcessFlag)
{
	expect_given("ok no parent has turned huge pages off");
	Outcome o = doctor([] { prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); });

	EXPECT_EQ(o.status, 1);
	EXPECT_NE(flat(o.out).find("BAD a parent has turned huge pages off for this process "
	                           "(PR_SET_THP_DISABLE)"),
	          std::string::npos)
		<< o.out;
	EXPECT_NE(o.out.find("process " + std::to_string(getpid()) + ", \"cli_doctor_test\""),
	          std::string::npos)
		<< o.out;
}

// Does prctl() know the flag that leaves advised memory alone (K6)?
bool can_except_advised()
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit(prctl(PR_SET_THP_DISABLE, 1, 1 << 1, 0, 0) == 0);
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

TEST_F(Doctor, ProcessFlagThatExceptsAdvisedMemory)
{
	expect_given(can_except_advised() ? "ok a parent allows huge pages to who asks only"
	                                  : "ok no parent has turned huge pages off",
	             [] { prctl(PR_SET_THP_DISABLE, 1, 1 << 1, 0, 0); });
}

void limit_address_space(rlim_t bytes)
{
	struct rlimit limit = {bytes, bytes};

	setrlimit(RLIMIT_AS, &limit);
}

TEST_F(Doctor, AddressSpace)
{
	expect_given(
		"warn RLIMIT_AS limits the address space to 2 GiB; we reserve less then change: "
		"ulimit -v unlimited",
		[] { limit_address_space(rlim_t(2) << 30); });
	Outcome o = doctor([] { limit_address_space(48 << 20); });

	EXPECT_EQ(o.status, 1);
	EXPECT_NE(flat(o.out).find(
			  "too little for aligned memory. The one thing to change: ulimit -v "
			  "unlimited"),
	          std::string::npos)
		<< o.out;
}

// Of several faults the one that decides is named.
TEST_F(Doctor, NamesOneThing)
{
	tree.write(thp + "enabled", "always madvise [never]\n");
	tree.write("proc/sys/vm/overcommit_memory", "2\n");
	free_blocks(0, 0);
	Outcome o = doctor();

	EXPECT_EQ(o.status, 1);
	EXPECT_NE(o.out.find("The one thing to change: " + tee("madvise", thp + "enabled") + "\n"),
	          std::string::npos)
		<< o.out;
}

TEST_F(Doctor, LooksAtTheCommand)
{
	std::string program = setting("UNSPLIT_TEST_PROGRAMS") + "/static_program";
	Outcome o = unsplit({"doctor", "--root", tree.path(), "--", program, "-x"});

	EXPECT_EQ(o.status, 1);
	EXPECT_NE(flat(o.out).find("BAD " + program + " is statically linked"), std::string::npos);
	EXPECT_NE(o.out.find("The one thing to change: use a dynamically linked build of it\n"),
	          std::string::npos);
	o = unsplit({"doctor", "--root", tree.path(), "true"});
	EXPECT_EQ(o.status, 0);
	EXPECT_NE(o.out.find("ok    true can be preloaded into\n"), std::string::npos);
}

TEST_F(Doctor, RefusesWrongUsage)
{
	Outcome o = unsplit({"doctor", "--frob"});

	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.err, "unsplit: doctor has no option \"--frob\"; \"unsplit help doctor\" tells "
	                 "more\n");
	EXPECT_EQ(o.out, "");
	o = unsplit({"doctor", "--", "no-such-program"});
	EXPECT_EQ(o.status, 2);
	EXPECT_EQ(o.err, "unsplit: \"no-such-program\" is not found, or cannot be executed\n");
}

// Linux on this machine, asked without any code of ours.

bool on_huge_pages()
{
	size_t bytes = 0;
	std::ifstream("/" + thp + "hpage_pmd_size") >> bytes;
	if (!bytes)
		return false;
	char *base = static_cast<char *>(mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE,
	                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	base += -reinterpret_cast<uintptr_t>(base) & (bytes - 1);
	madvise(base, bytes, MADV_HUGEPAGE);
	*base = 1;
	std::ifstream rollup("/proc/self/smaps_rollup");
	for (std::string word; rollup >> word;) {
		size_t kilobytes = 0;

		if (word == "AnonHugePages:" && rollup >> kilobytes)
			return kilobytes > 0;
	}
	return false;
}

bool really_given(const std::function<void()> &before)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		before();
		_exit(on_huge_pages());
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

void refuse_madvise()
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {4, code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

class DoctorHere : public testing::Test
{
      protected:
	// Whatever this machine is like, the verdict is what really happens.
	Outcome expect_truth(const std::function<void()> &before)
	{
		auto alike = [&] {
			prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
			before();
		};
		Outcome o = unsplit({"doctor"}, {}, before);

		EXPECT_EQ(o.status, really_given(alike) ? 0 : 1) << o.out;
		EXPECT_EQ(o.err, "");
		return o;
	}
};

TEST_F(DoctorHere, TellsTheTruth)
{
	Outcome o = expect_truth([] {});

	EXPECT_NE(flat(o.out).find("ok kernel "), std::string::npos) << o.out;
	EXPECT_EQ(o.out.find("tried it") != std::string::npos,
	          o.out.find("BAD") == std::string::npos)
		<< o.out;
}

TEST_F(DoctorHere, TellsTheTruthWhereAParentTurnedHugePagesOff)
{
	Outcome o = expect_truth([] { prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); });

	EXPECT_EQ(o.status, 1);
}

TEST_F(DoctorHere, TellsTheTruthWhereAdviceIsRefused)
{
	Outcome o = expect_truth(refuse_madvise);

	// No setting explains it: only the trial finds out.
	if (o.status == 1 && really_given([] {})) {
		EXPECT_NE(
			flat(o.out).find("BAD tried it: of 4 MiB asked for, none is on huge pages"),
			std::string::npos)
			<< o.out;
	}
}

} // namespace
