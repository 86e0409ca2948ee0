#include "support.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <unistd.h>

namespace support
{

bool plain()
{
	return getenv("UNSPLIT_TEST_PLAIN") != nullptr;
}

bool shim_loaded()
{
	return dlsym(RTLD_DEFAULT, "unsplit_version") != nullptr;
}

/* The number after `key` in a file of lines "key number" or "key: number". */
static uint64_t field(const char *path, const std::string &key)
{
	std::ifstream file(path);
	std::string word;

	while (file >> word) {
		uint64_t value;

		if ((word == key || word == key + ":") && file >> value)
			return value;
	}
	fprintf(stderr, "%s has no field %s\n", path, key.c_str());
	abort();
}

size_t rollup(const char *name)
{
	return field("/proc/self/smaps_rollup", name) * KiB;
}

size_t rss()
{
	std::ifstream statm("/proc/self/statm");
	size_t total = 0, resident = 0;

	statm >> total >> resident;
	return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

uint64_t vmstat(const char *counter)
{
	return field("/proc/vmstat", counter);
}

std::string first_line(const std::string &path)
{
	std::ifstream file(path);
	std::string line;

	std::getline(file, line);
	return line;
}

std::string needed_env(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		fprintf(stderr, "this test needs %s in its environment\n", name);
		exit(2);
	}
	return value;
}

static unsigned char pattern(unsigned seed, size_t i)
{
	return static_cast<unsigned char>(seed * 131 + i * 7 + (i >> 8));
}

void fill(void *block, size_t size, unsigned seed)
{
	auto *byte = static_cast<unsigned char *>(block);

	for (size_t i = 0; i < size; i++)
		byte[i] = pattern(seed, i);
}

bool filled(const void *block, size_t size, unsigned seed)
{
	auto *byte = static_cast<const unsigned char *>(block);
	unsigned wrong = 0;

	for (size_t i = 0; i < size; i++)
		wrong |= byte[i] ^ pattern(seed, i);
	return wrong == 0;
}

} // namespace support
