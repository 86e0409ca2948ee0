/* On which NUMA node memory lies, asked of the kernel page by page.  Needs two nodes, each with a
 * processor; run.py makes a machine that has them.
 *
 * Local.* wants no rule; Interleaved.*, Bound.* and Preferred.* want rules for requests of 16 KiB
 * and more (*.rules).  Told.* look at what the report and the command UNSPLIT_CLI say of nodes. */
#include "../preload/support.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <dlfcn.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <linux/mempolicy.h>
#include <malloc.h>
#include <pthread.h>
#include <regex>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <utility>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

constexpr size_t page = 4 * KiB;
constexpr size_t heap_size = 64 * MiB;
constexpr int nodes = 2;

/* ---- threads and their nodes ---- */

/* The first processor of a node; -1 if it has none. */
int processor_of(int node)
{
	std::string cpus =
		first_line("/sys/devices/system/node/node" + std::to_string(node) + "/cpulist");

	return cpus.empty() ? -1 : std::stoi(cpus);
}

cpu_set_t processors_of(int node)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor_of(node), &set);
	return set;
}

void move_to(int node)
{
	cpu_set_t set = processors_of(node);

	ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* A thread that stays on a node unless it moves, and ends with its scope.  It starts there: what it
 * would touch elsewhere first, by huge pages, would be several percent. */
class OnNode
{
      public:
	OnNode(int node, std::function<void()> body) : body_(std::move(body))
	{
		cpu_set_t set = processors_of(node);
		pthread_attr_t attributes;

		pthread_attr_init(&attributes);
		pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
		if (pthread_create(&thread_, &attributes, run, this))
			abort();
		pthread_attr_destroy(&attributes);
	}
	OnNode(const OnNode &) = delete;
	OnNode &operator=(const OnNode &) = delete;

	~OnNode()
	{
		pthread_join(thread_, nullptr);
	}

      private:
	static void *run(void *self)
	{
		static_cast<OnNode *>(self)->body_();
		return nullptr;
	}

	const std::function<void()> body_;
	pthread_t thread_;
};

/* ---- blocks and their nodes ---- */

class Blocks
{
      public:
	explicit Blocks(size_t size) : size_(size)
	{
		blocks_.reserve(heap_size / size);
	}

	~Blocks()
	{
		free_all();
	}

	/* `bytes` more, written whole. */
	void add(size_t bytes = heap_size)
	{
		for (size_t end = blocks_.size() + bytes / size_; blocks_.size() < end;)
			blocks_.push_back(memset(malloc(size_), 1, size_));
	}

	void free_all()
	{
		for (void *p : blocks_)
			free(p);
		blocks_.clear();
	}

	bool full() const
	{
		return blocks_.size() * size_ >= heap_size;
	}

	/* How much of them lies on a node, in percent. */
	double on(int node) const
	{
		std::vector<void *> all = pages();
		std::vector<int> at(all.size(), -1);

		EXPECT_EQ(syscall(SYS_move_pages, 0, all.size(), all.data(), nullptr, at.data(), 0),
		          0);
		return 100.0 * static_cast<double>(std::count(at.begin(), at.end(), node)) /
		       static_cast<double>(all.size());
	}

      private:
	/* Each page that they touch, once. */
	std::vector<void *> pages() const
	{
		std::vector<uintptr_t> found;

		for (void *p : blocks_) {
			auto start = reinterpret_cast<uintptr_t>(p), at = start & -page;

			for (; at < start + size_; at += page)
				found.push_back(at);
		}
		std::sort(found.begin(), found.end());
		found.erase(std::unique(found.begin(), found.end()), found.end());
		std::vector<void *> result;
		for (uintptr_t at : found)
			result.push_back(reinterpret_cast<void *>(at));
		return result;
	}

	const size_t size_;
	std::vector<void *> blocks_;
};

class TwoNodes : public testing::Test
{
      protected:
	void SetUp() override
	{
		for (int node = 0; node < nodes; node++)
			ASSERT_GE(processor_of(node), 0) << "no processor on node " << node;
		move_to(0); // what it allocates itself does not wander either
	}

	void TearDown() override
	{
		malloc_trim(0);
	}
};

/* With blocks of this size. */
class Placement : public TwoNodes, public testing::WithParamInterface<size_t>
{
};

/* ---- a thread's memory is its node's ---- */

using Local = Placement;

/* Nothing is freed meanwhile: all of it is memory that nobody had before. */
TEST_P(Local, FirstUse)
{
	Blocks of_first(GetParam()), of_second(GetParam());

	OnNode(0, [&] { of_first.add(); });
	OnNode(1, [&] { of_second.add(); });
	EXPECT_GE(of_first.on(0), 99);
	EXPECT_GE(of_second.on(1), 99);
}

/* They take turns, so that neighbours in the order of allocation are on different nodes. */
TEST_P(Local, AtTheSameTime)
{
	std::atomic<int> turn{0};
	auto body = [&](int node) {
		Blocks blocks(GetParam());

		while (!blocks.full()) {
			while (turn % nodes != node)
				std::this_thread::yield();
			blocks.add(std::max(GetParam(), 256 * KiB));
			turn++;
		}
		EXPECT_GE(blocks.on(node), 99) << "node " << node;
	};

	OnNode first(0, [&] { body(0); });
	OnNode second(1, [&] { body(1); });
}

/* What one node's thread has freed is still there when another's asks. */
TEST_P(Local, AfterAnotherNodesThread)
{
	for (int node = 0; node < 2 * nodes; node++) {
		OnNode(node % nodes, [&] {
			Blocks blocks(GetParam());

			blocks.add();
			EXPECT_GE(blocks.on(node % nodes), 99) << "round " << node;
		});
	}
}

/* Blocks are freed by a thread of the other node, which then wants some itself. */
TEST_P(Local, AfterFreeingAnotherNodesBlocks)
{
	Blocks of_first(GetParam()), of_second(GetParam());

	OnNode(0, [&] { of_first.add(); });
	OnNode(1, [&] {
		of_first.free_all();
		of_second.add();
		EXPECT_GE(of_second.on(1), 99);
	});
	OnNode(0, [&] {
		of_first.add();
		EXPECT_GE(of_first.on(0), 99);
		EXPECT_GE(of_second.on(1), 99) << "it moved";
	});
}

TEST_P(Local, AfterMoving)
{
	OnNode(0, [&] {
		Blocks before(GetParam()), after(GetParam());

		before.add();
		move_to(1);
		after.add();
		EXPECT_GE(before.on(0), 99);
		EXPECT_GE(after.on(1), 99);
	});
}

INSTANTIATE_TEST_SUITE_P(Sizes, Local, testing::Values(KiB, 64 * KiB, 4 * MiB));

/* ---- memory is where a rule wants it ---- */

/* From threads of both nodes, one after the other. */
template <typename Check> void on_each_node(size_t size, Check check)
{
	for (int node = 0; node < nodes; node++) {
		OnNode(node, [&] {
			Blocks blocks(size);

			blocks.add();
			check(blocks);
		});
	}
}

using Interleaved = Placement;

TEST_P(Interleaved, IsEven)
{
	on_each_node(GetParam(), [](const Blocks &blocks) {
		EXPECT_NEAR(blocks.on(0), 50, 5);
		EXPECT_NEAR(blocks.on(1), 50, 5);
	});
}

/* By unit, not by page. */
TEST_P(Interleaved, IsHuge)
{
	on_each_node(GetParam(), [](const Blocks &blocks) {
		EXPECT_GE(rollup("AnonHugePages"), heap_size / 100 * 90);
	});
}

/* To node 1. */
using Bound = Placement;

TEST_P(Bound, IsThere)
{
	on_each_node(GetParam(), [](const Blocks &blocks) { EXPECT_GE(blocks.on(1), 99); });
}

using Preferred = Placement;

TEST_P(Preferred, IsThere)
{
	on_each_node(GetParam(), [](const Blocks &blocks) { EXPECT_GE(blocks.on(1), 99); });
}

INSTANTIATE_TEST_SUITE_P(Sizes, Interleaved, testing::Values(64 * KiB, 4 * MiB));
INSTANTIATE_TEST_SUITE_P(Sizes, Bound, testing::Values(64 * KiB, 4 * MiB));
INSTANTIATE_TEST_SUITE_P(Sizes, Preferred, testing::Values(64 * KiB, 4 * MiB));

/* ---- the nodes are told ---- */

std::string contents(const std::string &path)
{
	std::ifstream file(path);

	return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/* What a command prints. */
std::string output_of(const std::string &command)
{
	FILE *pipe = popen(command.c_str(), "r");
	std::string text;

	for (int c; pipe && (c = getc(pipe)) != EOF;)
		text += static_cast<char>(c);
	EXPECT_EQ(pipe ? pclose(pipe) : -1, 0) << command << text;
	return text;
}

/* Of the table "nodes" of some JSON; all values are numbers. */
size_t told(const std::string &json, int node, const std::string &key)
{
	std::smatch row, value;
	size_t start = json.find("\"nodes\": [");
	std::string table =
		start == std::string::npos ? "" : json.substr(start, json.find(']', start) - start);

	if (!std::regex_search(table, row,
	                       std::regex("\\{\\s*\"node\": " + std::to_string(node) + ",[^}]*")))
		ADD_FAILURE() << "no node " << node << ": " << json;
	std::string members = row.str();
	if (!std::regex_search(members, value, std::regex("\"" + key + "\": ([0-9]+)")))
		ADD_FAILURE() << "no " << key << " of node " << node << ": " << json;
	return std::strtoull(value[1].str().c_str(), nullptr, 10);
}

/* 64 MiB on the first node, 32 MiB on the second, and a few more for whatever. */
class Told : public TwoNodes
{
      protected:
	static void near(size_t bytes, size_t expected)
	{
		EXPECT_GE(bytes, expected * 99 / 100);
		EXPECT_LE(bytes, expected + 8 * MiB);
	}

	void SetUp() override
	{
		TwoNodes::SetUp();
		OnNode(0, [&] { of_first.add(); });
		OnNode(1, [&] { of_second.add(heap_size / 2); });
	}

	Blocks of_first{64 * KiB}, of_second{64 * KiB};
	const std::string self = std::to_string(getpid()), cli = needed_env("UNSPLIT_CLI");
};

TEST_F(Told, InTheReport)
{
	auto report =
		reinterpret_cast<int (*)(const char *)>(dlsym(RTLD_DEFAULT, "unsplit_report"));

	ASSERT_NE(report, nullptr);
	ASSERT_EQ(report("/tmp/nodes.json"), 0);
	std::string json = contents("/tmp/nodes.json");
	near(told(json, 0, "heap"), heap_size);
	near(told(json, 1, "heap"), heap_size / 2);
}

TEST_F(Told, ByStat)
{
	std::string json = output_of(cli + " stat --json " + self);

	near(told(json, 0, "large"), heap_size);
	near(told(json, 1, "large"), heap_size / 2);
	EXPECT_GE(told(json, 0, "resident"), told(json, 0, "large") + told(json, 0, "small"));
	EXPECT_GE(told(json, 1, "resident"), told(json, 1, "large") + told(json, 1, "small"));
	EXPECT_NE(output_of(cli + " stat " + self).find("\nNUMA nodes"), std::string::npos);
}

/* Memory that is used is not free. */
TEST_F(Told, ByDoctor)
{
	std::string before = output_of(cli + " doctor --json");

	OnNode(1, [&] { of_second.add(4 * heap_size); });
	std::string after = output_of(cli + " doctor --json");
	EXPECT_NEAR(double(told(before, 1, "free")), double(told(after, 1, "free") + 4 * heap_size),
	            double(heap_size));
	EXPECT_GE(told(before, 1, "huge_pages_free"), told(after, 1, "huge_pages_free") + 64);
	EXPECT_NEAR(double(told(before, 0, "free")), double(told(after, 0, "free")),
	            double(heap_size));
}

/* The control: a thread whose own policy is another node's is seen not to be served by its own. */
using Control = TwoNodes;

TEST_F(Control, MisplacedMemoryIsSeen)
{
	OnNode(0, [&] {
		const unsigned long other = 1 << 1;

		ASSERT_EQ(syscall(SYS_set_mempolicy, MPOL_BIND, &other, 8 * sizeof(other)), 0);
		Blocks blocks(64 * KiB);
		blocks.add();
		EXPECT_LE(blocks.on(0), 1);
		EXPECT_GE(blocks.on(1), 99);
	});
}

} // namespace
