// Call sites: their identity, the unwinder, the tables, and what objects come and go.
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "fake_kernel.h"
#include "site_plugin.h"

extern "C" {
#include "options.h"
#include "report/report.h"
#include "report/stats.h"
#include "site/frames.h"
#include "site/hash.h"
#include "site/modules.h"
#include "site/site.h"
#include "site/sites.h"
#include "site/stacks.h"
#include "site/symbols.h"
}

#define NOINLINE __attribute__((noinline))
// Keeps a call from becoming a jump, which would leave no frame.
#define HERE asm volatile("" ::: "memory")

namespace
{

// ---- what the tests call through ----

// A stack, as names of functions and modules.
struct Seen {
	frames found;
	std::vector<std::string> functions, modules;
	std::vector<uint64_t> offsets;
	uint64_t hash;

	bool has(const std::string &function) const
	{
		for (const std::string &f : functions)
			if (f.find(function) != std::string::npos)
				return true;
		return false;
	}
};

Seen describe(const frames &found)
{
	Seen seen{found, {}, {}, {}, 0};
	site_frame made[FRAMES_MOST];

	for (size_t i = 0; i < found.count; i++) {
		place p = module_place(found.pcs[i]);

		seen.functions.push_back(symbol_of(&p));
		seen.modules.push_back(p.module->name);
		seen.offsets.push_back(p.offset);
		made[i] = site_frame_make(&p);
	}
	seen.hash = sites_hash(made, found.count);
	return seen;
}

NOINLINE int unwind(void *arg)
{
	frames_find(static_cast<frames *>(arg), __builtin_return_address(0), 12);
	return 0;
}

NOINLINE int look(void *arg)
{
	frames found;

	frames_find(&found, __builtin_return_address(0), 12);
	*static_cast<Seen *>(arg) = describe(found);
	return 0;
}

NOINLINE int ask(void *arg)
{
	site_lookup(SITE_MALLOC, *static_cast<size_t *>(arg), __builtin_return_address(0));
	return 0;
}

class Plugin
{
      public:
	explicit Plugin(const std::string &name)
	{
		std::string path = SITE_PLUGINS + name + ".so";

		handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
		EXPECT_NE(handle_, nullptr) << dlerror();
		call = reinterpret_cast<decltype(call)>(dlsym(handle_, "plugin_call"));
		EXPECT_EQ(name,
		          reinterpret_cast<const char *(*)()>(dlsym(handle_, "plugin_name"))());
	}
	~Plugin()
	{
		dlclose(handle_);
	}
	Seen look_through() const
	{
		Seen seen;

		call(look, &seen);
		HERE;
		return seen;
	}
	int (*call)(plugin_callback *, void *);

      private:
	void *handle_;
};

class Site : public testing::Test
{
      protected:
	void SetUp() override
	{
		machine_init();
		modules_init(true);
		ASSERT_EQ(symbols_init(), 0);
		options_default(&options);
	}
	void TearDown() override
	{
		site_reset();
		options_default(&options);
	}
	void start(unsigned frames = 8)
	{
		options.sites = true;
		options.site_frames = frames;
		site_init();
		ASSERT_TRUE(site_active);
	}
};

std::vector<const site *> all_sites()
{
	std::vector<const site *> all;

	for (const site *s = sites_next(nullptr); s; s = sites_next(s))
		all.push_back(s);
	return all;
}

// ---- identity ----

// It stands in rule files.
TEST_F(Site, HashDependsOnIdentitiesAndOffsetsAlone)
{
	module one = {}, other = {};
	one.id = build_id_hash(reinterpret_cast<const unsigned char *>("\1\2\3\4"), 4);
	other.id = hash_bytes("program", 7);

	EXPECT_EQ(one.id, 0xbe7a5e775165785du);
	EXPECT_EQ(hash_add(hash_add(0, one.id), 0x1234), 0x92ba887326f54e4u);
	EXPECT_NE(one.id, other.id);
}

TEST_F(Site, FramesKeepModuleAndOffset)
{
	place p = {&modules[MODULES_MOST - 1], 0xffff12345678, ""};
	site_frame f = site_frame_make(&p);
	site_frame swapped[] = {site_frame_make(&p), f + 1}, frames[] = {f + 1, f};

	EXPECT_EQ(site_frame_module(f), p.module);
	EXPECT_EQ(site_frame_offset(f), p.offset);
	EXPECT_NE(sites_hash(frames, 2), sites_hash(swapped, 2)) << "the order counts";
	EXPECT_NE(sites_hash(frames, 2), sites_hash(frames, 1));
}

// A process started anew, with other addresses, knows the same sites.
TEST_F(Site, HashOutlivesTheProcess)
{
	auto seen_by_child = [] {
		int ends[2];
		uint64_t hash = 0;
		std::string filter = "--gtest_filter=Site.DISABLED_PrintsAHash";
		char program[4096] = {};

		EXPECT_EQ(pipe(ends), 0);
		EXPECT_GT(readlink("/proc/self/exe", program, sizeof(program) - 1), 0);
		pid_t pid = fork();
		if (pid == 0) {
			dup2(ends[1], 199);
			execl(program, program, filter.c_str(), "--gtest_also_run_disabled_tests",
			      "--gtest_brief=1", nullptr);
			_exit(1);
		}
		close(ends[1]);
		EXPECT_EQ(read(ends[0], &hash, sizeof(hash)), ssize_t(sizeof(hash)));
		close(ends[0]);
		waitpid(pid, nullptr, 0);
		return hash;
	};
	uint64_t first = seen_by_child(), second = seen_by_child();

	EXPECT_NE(first, 0u);
	EXPECT_EQ(first, second);
}

TEST_F(Site, DISABLED_PrintsAHash)
{
	Plugin plugin("anonymous");
	uint64_t hash = plugin.look_through().hash;

	EXPECT_EQ(write(199, &hash, sizeof(hash)), ssize_t(sizeof(hash)));
}

// ---- unwinding and names ----

extern "C" NOINLINE void site_test_c_function(Seen *seen)
{
	look(seen);
	HERE;
}

struct Klass {
	template <typename T> NOINLINE void method(Seen *seen)
	{
		site_test_c_function(seen);
		HERE;
	}
};

TEST_F(Site, CAndCxxFramesWithTheirNames)
{
	Seen seen;

	Klass().method<int>(&seen);
	HERE;
	ASSERT_GE(seen.functions.size(), 3u);
	EXPECT_EQ(seen.functions[0], "site_test_c_function");
	EXPECT_NE(seen.functions[1].find("Klass::method<int>("), std::string::npos)
		<< seen.functions[1];
	EXPECT_NE(seen.functions[2].find("CAndCxxFramesWithTheirNames"), std::string::npos)
		<< seen.functions[2];
	EXPECT_EQ(seen.modules[0], "unit_tests");
	// A name is made once.
	place p = module_place(seen.found.pcs[1]);
	EXPECT_EQ(symbol_of(&p), symbol_of(&p));
}

TEST_F(Site, NoMoreFramesThanAskedFor)
{
	auto how_many = [](size_t most) NOINLINE {
		frames f;

		frames_find(&f, __builtin_return_address(0), most);
		return f.count;
	};

	EXPECT_EQ(how_many(1), 1u);
	EXPECT_EQ(how_many(3), 3u);
	EXPECT_LE(how_many(FRAMES_MOST), size_t{FRAMES_MOST});
	frames f;
	frames_find(&f, reinterpret_cast<void *>(0x1234), 8);
	EXPECT_EQ(f.count, 1u) << "no frame at all";
	EXPECT_EQ(f.pcs[0], reinterpret_cast<void *>(0x1234));
}

TEST_F(Site, LoadedObjects)
{
	Seen seen = Plugin("first").look_through();

	ASSERT_GE(seen.functions.size(), 3u);
	EXPECT_EQ(seen.functions[0], "inner");
	EXPECT_EQ(seen.functions[1], "plugin_call");
	EXPECT_EQ(seen.modules[0], "libsite_plugin_first.so");
	EXPECT_TRUE(seen.has("LoadedObjects"));
}

TEST_F(Site, StrippedObjects)
{
	Seen seen = Plugin("stripped").look_through();

	ASSERT_GE(seen.functions.size(), 3u);
	EXPECT_EQ(seen.functions[0], "") << "nobody knows its name";
	EXPECT_EQ(seen.functions[1], "plugin_call");
	EXPECT_EQ(seen.modules[0], "libsite_plugin_stripped.so");
	EXPECT_TRUE(seen.has("StrippedObjects")) << "there is unwind information all the same";
}

TEST_F(Site, ObjectsWithoutBuildIdAreKnownByName)
{
	static const char name[] = "libsite_plugin_anonymous.so";
	Plugin plugin("anonymous"), other("first");
	void *there = reinterpret_cast<void *>(plugin.call);

	EXPECT_EQ(module_place(there).module->id, hash_bytes(name, sizeof(name) - 1));
	EXPECT_NE(module_place(reinterpret_cast<void *>(other.call)).module->id,
	          hash_bytes("libsite_plugin_first.so", 23));
	EXPECT_EQ(plugin.look_through().functions[0], "inner");
}

// ---- objects that come and go ----

TEST_F(Site, ReloadedObjectsAreTheSameAndOthersAreNot)
{
	std::vector<uint64_t> hashes;

	for (const char *name : {"first", "second", "stripped", "first"}) {
		asm volatile("" : "+r"(name)); // one return address for all
		hashes.push_back(Plugin(name).look_through().hash);
	}
	EXPECT_EQ(hashes[0], hashes[3]);
	EXPECT_NE(hashes[0], hashes[1]) << "the same code in another object";
	EXPECT_NE(hashes[0], hashes[2]);
}

TEST_F(Site, MarksTellWhatWasLoaded)
{
	uint64_t here = module_mark(reinterpret_cast<void *>(&look)), first, second;

	EXPECT_EQ(here, 0u) << "what was there from the start stays";
	{
		Plugin plugin("first");
		first = module_mark(reinterpret_cast<void *>(plugin.call));
	}
	{
		Plugin plugin("second");
		second = module_mark(reinterpret_cast<void *>(plugin.call));
		EXPECT_EQ(module_mark(reinterpret_cast<void *>(plugin.call)), second);
	}
	EXPECT_NE(first, 0u);
	EXPECT_NE(second, 0u);
	EXPECT_NE(first, second);
}

// Mostly the second takes the place of the first, at the very same addresses.
TEST_F(Site, AnotherObjectInTheSamePlaceIsAnotherSite)
{
	size_t bytes = 20000;

	start();
	for (int round = 0; round < 10; round++) {
		for (const char *name : {"first", "second"}) {
			asm volatile("" : "+r"(name)); // one return address for both
			Plugin plugin(name);

			plugin.call(ask, &bytes);
		}
	}
	std::vector<const site *> sites = all_sites();
	ASSERT_EQ(sites.size(), 2u);
	EXPECT_EQ(sites[0]->count, 10u);
	EXPECT_EQ(sites[1]->count, 10u);
	EXPECT_STRNE(site_frame_module(sites[0]->frames[0])->name,
	             site_frame_module(sites[1]->frames[0])->name);
}

// ---- code in no object ----

class Jit
{
      public:
	Jit()
	{
		// sub $8, %rsp; mov %rdi, %rax; mov %rsi, %rdi; call *%rax; add $8, %rsp; ret
		static const unsigned char code[] = {0x48, 0x83, 0xec, 0x08, 0x48, 0x89,
		                                     0xf8, 0x48, 0x89, 0xf7, 0xff, 0xd0,
		                                     0x48, 0x83, 0xc4, 0x08, 0xc3};

		page_ = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		             0);
		memcpy(page_, code, sizeof(code));
		mprotect(page_, 4096, PROT_READ | PROT_EXEC);
	}
	~Jit()
	{
		munmap(page_, 4096);
	}
	void call(plugin_callback *back, void *arg) const
	{
		reinterpret_cast<int (*)(plugin_callback *, void *)>(page_)(back, arg);
		HERE;
	}

      private:
	void *page_;
};

TEST_F(Site, CodeMadeAtRunTimeIsOneSiteWhereverItIs)
{
	Jit jits[2];
	Seen seen[2];

	for (int i : {0, 1})
		jits[i].call(look, &seen[i]);
	EXPECT_EQ(seen[0].found.count, 1u) << "nobody knows the frames above";
	EXPECT_EQ(seen[0].functions[0], "");
	EXPECT_EQ(seen[0].modules[0], "");
	EXPECT_NE(seen[0].found.pcs[0], seen[1].found.pcs[0]);
	EXPECT_EQ(seen[0].hash, seen[1].hash);
}

// ---- signals ----

frames found_in_handler;

void handler(int)
{
	unwind(&found_in_handler);
	HERE;
}

NOINLINE void interrupt_here()
{
	raise(SIGUSR1);
	HERE;
}

TEST_F(Site, SignalHandlersOnTheirOwnStackAndOnTheThreads)
{
	std::vector<char> alternate(1 << 16);
	stack_t on = {alternate.data(), 0, alternate.size()}, off = {nullptr, SS_DISABLE, 0};

	for (int flags : {0, SA_ONSTACK}) {
		struct sigaction action = {}, old;

		action.sa_handler = handler;
		action.sa_flags = flags;
		sigaltstack(&on, nullptr);
		sigaction(SIGUSR1, &action, &old);
		interrupt_here();
		sigaction(SIGUSR1, &old, nullptr);
		sigaltstack(&off, nullptr);
		Seen seen = describe(found_in_handler);
		EXPECT_TRUE(seen.has("handler"));
		EXPECT_TRUE(seen.has("interrupt_here")) << "through the signal's frame";
	}
}

size_t handler_bytes = 30000;

void asking_handler(int)
{
	ask(&handler_bytes);
	HERE;
}

TEST_F(Site, LookupsInSignalHandlersCount)
{
	std::vector<char> alternate(1 << 16);
	stack_t on = {alternate.data(), 0, alternate.size()}, off = {nullptr, SS_DISABLE, 0};
	struct sigaction action = {}, old;

	start();
	action.sa_handler = asking_handler;
	action.sa_flags = SA_ONSTACK;
	sigaltstack(&on, nullptr);
	sigaction(SIGUSR1, &action, &old);
	for (volatile int i = 0; i < 3; i = i + 1)
		interrupt_here();
	sigaction(SIGUSR1, &old, nullptr);
	sigaltstack(&off, nullptr);
	ASSERT_EQ(sites_count(), 1u);
	EXPECT_EQ(sites_next(nullptr)->count, 3u);
}

// ---- the table of sites ----

site made_site(uint64_t number)
{
	site s = {};

	s.hash = hash_add(hash_add(1, number + 100), 7);
	s.frame_count = 1;
	return s;
}

TEST_F(Site, AFullTableKeepsWhatItHas)
{
	ASSERT_EQ(sites_init(), 0);
	for (uint64_t i = 0; i < SITES_MOST; i++) {
		site s = made_site(i);

		ASSERT_NE(sites_add(&s), nullptr) << i;
	}
	EXPECT_EQ(sites_count(), size_t{SITES_MOST});
	site extra = made_site(SITES_MOST), known = made_site(5);
	EXPECT_EQ(sites_add(&extra), nullptr);
	EXPECT_EQ(sites_find(extra.hash), nullptr);
	EXPECT_EQ(sites_count(), size_t{SITES_MOST});
	for (uint64_t i = 0; i < SITES_MOST; i++) {
		site *found = sites_find(made_site(i).hash);

		ASSERT_NE(found, nullptr);
		ASSERT_EQ(found->hash, made_site(i).hash);
	}
	EXPECT_EQ(sites_add(&known), sites_find(known.hash));
}

TEST_F(Site, ThreadsThatAddTheSameSitesAgree)
{
	constexpr unsigned threads = 8, each = 4000;
	std::vector<std::vector<site *>> got(threads);
	std::vector<std::thread> running;

	ASSERT_EQ(sites_init(), 0);
	for (unsigned t = 0; t < threads; t++) {
		running.emplace_back([&, t] {
			for (unsigned i = 0; i < each; i++) {
				site s = made_site(i), *added;

				// A thread that adds it may be stopped for long on a busy machine.
				while (!(added = sites_add(&s)))
					std::this_thread::yield();
				got[t].push_back(added);
				__atomic_fetch_add(&added->count, 1, __ATOMIC_RELAXED);
			}
		});
	}
	for (std::thread &thread : running)
		thread.join();
	EXPECT_EQ(sites_count(), each);
	for (unsigned i = 0; i < each; i++) {
		ASSERT_EQ(got[0][i]->hash, made_site(i).hash);
		ASSERT_EQ(got[0][i]->count, threads);
		for (unsigned t = 1; t < threads; t++)
			ASSERT_EQ(got[t][i], got[0][i]);
	}
}

TEST_F(Site, InOrderOfBytes)
{
	ASSERT_EQ(sites_init(), 0);
	for (uint64_t i = 0; i < 100; i++) {
		site s = made_site(i);

		s.bytes = i * 7 % 50;
		sites_add(&s);
	}
	uint64_t last = UINT64_MAX;
	std::set<const site *> distinct;
	for (const site *s : all_sites()) {
		EXPECT_LE(s->bytes, last);
		last = s->bytes;
		distinct.insert(s);
	}
	EXPECT_EQ(distinct.size(), 100u);
}

TEST_F(Site, HexadecimalNumbers)
{
	char buf[24];
	auto hex = [&](uint64_t n, unsigned digits) {
		site_hex(buf, sizeof(buf), n, digits);
		return std::string(buf);
	};

	EXPECT_EQ(hex(0, 1), "0");
	EXPECT_EQ(hex(0xabc, 1), "abc");
	EXPECT_EQ(hex(0xabc, 16), "0000000000000abc");
	EXPECT_EQ(hex(UINT64_MAX, 16), "ffffffffffffffff");
}

// ---- requests ----

NOINLINE void wrapper(size_t bytes)
{
	ask(&bytes);
	HERE;
}

// Two ways to the same return address, at the same depth.
NOINLINE void one_way(size_t bytes)
{
	wrapper(bytes);
	HERE;
}

NOINLINE void other_way(size_t bytes)
{
	wrapper(bytes);
	asm volatile("nop");
}

void go_both_ways()
{
	for (volatile int i = 0; i < 6; i = i + 1) {
		(i % 3 ? one_way : other_way)(100000);
		HERE;
	}
}

TEST_F(Site, WaysThroughAWrapperAreToldApart)
{
	start();
	go_both_ways();
	std::vector<const site *> sites = all_sites();
	ASSERT_EQ(sites.size(), 2u);
	EXPECT_EQ(sites[0]->count, 4u);
	EXPECT_EQ(sites[0]->bytes, 400000u);
	EXPECT_EQ(sites[1]->count, 2u);
	EXPECT_EQ(sites[0]->kinds, unsigned{SITE_MALLOC});
}

TEST_F(Site, WithOneFrameTheyAreNot)
{
	start(1);
	go_both_ways();
	ASSERT_EQ(sites_count(), 1u);
	EXPECT_EQ(sites_next(nullptr)->count, 6u);
}

// The same frames, but their places on the stack vary: not recognized, but still the same.
NOINLINE void with_room(size_t room, size_t bytes)
{
	volatile char *space = static_cast<volatile char *>(alloca(room));

	space[0] = 1;
	wrapper(bytes);
	HERE;
}

TEST_F(Site, FramesOfVaryingSize)
{
	start();
	for (volatile size_t i = 0; i < 200; i = i + 1)
		with_room(16 + 64 * (i % 100), 50000);
	ASSERT_EQ(sites_count(), 1u);
	EXPECT_EQ(sites_next(nullptr)->count, 200u);
}

TEST_F(Site, TheSameInEveryThread)
{
	start();
	for (int i = 0; i < 2; i++) {
		std::vector<std::thread> threads;

		for (int t = 0; t < 4; t++)
			threads.emplace_back([] {
				for (volatile int n = 0; n < 100; n = n + 1)
					one_way(70000);
			});
		for (std::thread &thread : threads)
			thread.join();
	}
	ASSERT_EQ(sites_count(), 1u);
	EXPECT_EQ(sites_next(nullptr)->count + stats.sites_missed, 800u);
}

TEST_F(Site, SmallRequestsAreNotLookedUpButMappingsAre)
{
	start();
	one_way(1000);
	EXPECT_EQ(sites_count(), 0u);
	one_way(16384);
	EXPECT_EQ(sites_count(), 1u);
	site_lookup(SITE_MMAP, 4096, __builtin_return_address(0));
	EXPECT_EQ(sites_count(), 2u);
}

TEST_F(Site, ErrnoIsKept)
{
	start();
	errno = ENOTTY;
	one_way(50000);
	EXPECT_EQ(errno, ENOTTY);
}

TEST_F(Site, SamplesStandForTheirBytes)
{
	constexpr size_t size = 100, total = 100 << 20;

	start();
	for (size_t done = 0; done < total; done += size)
		site_sample(size, __builtin_return_address(0));
	ASSERT_EQ(sites_count(), 1u);
	const site *s = sites_next(nullptr);
	EXPECT_GT(s->bytes, total / 2);
	EXPECT_LT(s->bytes, total * 2);
	EXPECT_NEAR(double(s->bytes) / double(s->count), size, 1);
}

// What is written to a file of that name.
std::string report_to(const std::string &name)
{
	std::string to = testing::TempDir() + "site-" + std::to_string(getpid()) + "." + name;

	EXPECT_EQ(report_write(to.c_str(), nullptr, 0), 0);
	std::ifstream file(to);
	std::stringstream text;
	text << file.rdbuf();
	unlink(to.c_str());
	return text.str();
}

TEST_F(Site, TheReportListsThem)
{
	char hash[24];

	start();
	go_both_ways();
	site_hex(hash, sizeof(hash), sites_next(nullptr)->hash, 16);
	std::string text = report_to("text"), json = report_to("json");
	size_t at = text.find("Call sites, by bytes asked for");
	ASSERT_NE(at, std::string::npos);
	EXPECT_NE(text.find(std::string(hash) + "       malloc           4  390.62 KiB", at),
	          std::string::npos)
		<< text;
	EXPECT_NE(json.find(std::string("\"site\": \"") + hash + "\""), std::string::npos);
	EXPECT_NE(json.find("\"bytes\": 400000"), std::string::npos);
	EXPECT_NE(json.find("unit_tests+0x"), std::string::npos);
}

TEST_F(Site, TheReportSaysNothingOfThemUnlessAskedFor)
{
	EXPECT_EQ(report_to("text").find("Call sites"), std::string::npos);
	EXPECT_EQ(report_to("json").find("\"sites\": ["), std::string::npos);
}

TEST_F(Site, NothingUnlessAskedFor)
{
	site_init();
	EXPECT_FALSE(site_active);
	EXPECT_EQ(site_plan(SITE_MALLOC, 1 << 20, nullptr), nullptr);
	site_sample(1 << 30, nullptr);
	EXPECT_EQ(sites_count(), 0u);
}

TEST_F(Site, WithoutMemoryForTablesItStaysOff)
{
	fake::Kernel fake;

	for (size_t nth : {1u, 2u})
		for (fake::Call call : {fake::RESERVE, fake::MAKE_USABLE}) {
			fake.fail(call, nth);
			options.sites = true;
			site_init();
			EXPECT_TRUE(fake.failed());
			EXPECT_FALSE(site_active);
			site_reset();
		}
	fake.fail_nothing();
}

} // namespace
