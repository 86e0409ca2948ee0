/*
 * site_stress.cc: allocate from very many call sites, in many threads, while objects come and go,
 * exceptions fly, and processes fork.
 *
 *	site_stress PLUGIN PLUGIN
 *
 * With sites:on each of these allocations is looked up, and the first ones of each site unwound.
 * Nothing may hang or crash, and in the end the report must know the sites.
 */
#include "support.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace support;

/* Functions of one call of malloc each, as a compiler would make them, and so as many return
 * addresses. */
constexpr unsigned stub_count = 10000, stub_bytes = 32;

extern "C" char site_stress_stubs[];

asm(".text\n"
    ".balign 32\n"
    "site_stress_stubs:\n"
    ".rept 10000\n"
    "	.balign 32\n"
    "	.cfi_startproc\n"
    "	subq $8, %rsp\n"
    "	.cfi_adjust_cfa_offset 8\n"
    "	call malloc@plt\n"
    "	addq $8, %rsp\n"
    "	.cfi_adjust_cfa_offset -8\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".endr\n"
    ".balign 32\n");

namespace
{

constexpr unsigned alloc_threads = 8, allocations = 1000000, children = 40;
constexpr unsigned test_seconds = 200, child_seconds = 60;

std::atomic<bool> stop;
std::atomic<unsigned> made, loads, exceptions;

void *alloc_from(unsigned stub, size_t size)
{
	auto function = reinterpret_cast<void *(*)(size_t)>(
		hidden(site_stress_stubs + size_t{stub} * stub_bytes));

	return function(size);
}

void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	_exit(1);
}

void check_block(void *p, size_t size)
{
	if (!p)
		fail("no memory");
	static_cast<volatile char *>(p)[0] = 1;
	static_cast<volatile char *>(p)[size - 1] = 1;
	free(p);
}

/* All threads go the same way, so that they meet new sites at the same time. */
void allocate()
{
	Random random(1);

	for (unsigned i = 0; i < allocations / alloc_threads; i++) {
		size_t size = 16 * KiB + random.below(64 * KiB);

		check_block(alloc_from(i % stub_count, size), size);
		made++;
	}
}

void load_and_unload(const char *first, const char *second)
{
	for (unsigned i = 0; !stop; i++) {
		void *plugin = dlopen(i % 2 ? first : second, RTLD_NOW | RTLD_LOCAL);
		void *function = plugin ? dlsym(plugin, "plugin_alloc") : nullptr;

		if (!function)
			fail(dlerror());
		for (size_t n = 0; n < 10; n++) {
			size_t size = 20 * KiB + 100 * n;

			check_block(reinterpret_cast<void *(*)(size_t)>(function)(size), size);
		}
		dlclose(plugin);
		loads++;
	}
}

/* Allocates on the way in, and while the exception is on its way out. */
struct Guard {
	~Guard()
	{
		check_block(alloc_from(7, 30 * KiB), 30 * KiB);
	}
};

__attribute__((noinline)) void throw_from(unsigned depth)
{
	Guard guard;

	if (!depth)
		throw std::runtime_error(std::string(20 * KiB, 'x'));
	throw_from(depth - 1);
}

void throw_and_catch()
{
	while (!stop) {
		try {
			throw_from(5);
		} catch (const std::runtime_error &) {
			exceptions++;
		}
	}
}

[[noreturn]] void child()
{
	alarm(child_seconds);
	for (unsigned i = 0; i < 200; i++)
		check_block(alloc_from(i * 37 % stub_count, 17 * KiB), 17 * KiB);
	_exit(0);
}

unsigned fork_some()
{
	unsigned failures = 0;

	for (unsigned i = 0; i < children; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0)
			child();
		failures += waitpid(pid, &status, 0) != pid || status != 0;
	}
	return failures;
}

/* The text of the report. */
std::string report()
{
	auto write_report =
		reinterpret_cast<int (*)(const char *)>(dlsym(RTLD_DEFAULT, "unsplit_report"));
	int fd = memfd_create("report", 0);
	char text[65536] = {};

	if (!write_report || write_report(("/proc/self/fd/" + std::to_string(fd)).c_str()))
		fail("no report");
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		fail("an empty report");
	return text;
}

/* A number of the report. */
unsigned long counted(const std::string &text, const std::string &key)
{
	size_t at = text.find("\n  " + key + " ");

	return at == std::string::npos ? 0
	                               : strtoul(text.c_str() + at + key.size() + 3, nullptr, 10);
}

/* Whether the lookups took place. */
bool report_knows()
{
	std::string text = report();
	unsigned long sites = counted(text, "sites"), missed = counted(text, "sites_missed");

	if (sites < stub_count || missed > allocations / 100 ||
	    text.find("site_stress+0x") == std::string::npos) {
		fprintf(stderr, "the report knows no sites:\n%s", text.c_str());
		return false;
	}
	printf("%lu sites, %lu requests missed\n", sites, missed);
	return true;
}

} // namespace

int main(int argc, char **argv)
{
	std::vector<std::thread> workers, disturbers;

	if (argc != 3 || !shim_loaded()) {
		fprintf(stderr, "site_stress PLUGIN PLUGIN, and the shim preloaded\n");
		return 2;
	}
	alarm(test_seconds);
	for (unsigned i = 0; i < 2; i++) {
		disturbers.emplace_back(load_and_unload, argv[1 + i], argv[2 - i]);
		disturbers.emplace_back(throw_and_catch);
	}
	for (unsigned i = 0; i < alloc_threads; i++)
		workers.emplace_back(allocate);
	unsigned failures = fork_some();
	for (std::thread &thread : workers)
		thread.join();
	stop = true;
	for (std::thread &thread : disturbers)
		thread.join();
	printf("%u allocations, %u loads, %u exceptions, %u of %u children failed\n", made.load(),
	       loads.load(), exceptions.load(), failures, children);
	return failures || !report_knows();
}
