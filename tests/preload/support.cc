#include "support.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <sys/mman.h>
#include <sys/syscall.h>
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

// ---- what this kernel does ----

namespace
{

constexpr size_t unit = 2 * MiB;
constexpr size_t page = 4 * KiB;

/* A few units, resident and huge, to try things on.  By bare system calls: what is asked is what
 * the kernel does, not what the shim makes of it. */
class Units
{
      public:
	static constexpr size_t count = 4;

	Units()
	{
		mapping_ = syscall(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE,
		                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mapping_ == -1)
			abort();
		first_ = reinterpret_cast<char *>((mapping_ + unit - 1) / unit * unit);
		syscall(SYS_madvise, first_, count * unit, MADV_HUGEPAGE);
		touch();
	}

	~Units()
	{
		syscall(SYS_munmap, mapping_, size);
	}

	void touch()
	{
		memset(first_, 1, count * unit);
	}

	/* On the first bytes of each. */
	void advise(size_t bytes, int advice)
	{
		for (size_t i = 0; i < count; i++)
			syscall(SYS_madvise, first_ + i * unit, bytes, advice);
	}

      private:
	static constexpr size_t size = (count + 1) * unit;
	long mapping_;
	char *first_;
};

/* Whether a huge page that is split at once counts as a deferred split all the same. */
bool counts_every_split()
{
	Units units;
	uint64_t deferred = vmstat("thp_deferred_split_page"), split = vmstat("thp_split_page");

	units.advise(page, MADV_COLD);
	return vmstat("thp_split_page") - split >= Units::count &&
	       vmstat("thp_deferred_split_page") - deferred >= Units::count;
}

} // namespace

int64_t partial_splits()
{
	static const bool every = counts_every_split();
	uint64_t deferred = vmstat("thp_deferred_split_page");

	return static_cast<int64_t>(every ? deferred - vmstat("thp_split_page") : deferred);
}

bool drops_page_tables()
{
	Units units;

	units.advise(page, MADV_COLD);
	size_t before = rollup("AnonHugePages");
	units.advise(unit, MADV_DONTNEED);
	units.touch();
	return rollup("AnonHugePages") >= before + Units::count * unit;
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
