// real_memory.h: memory of the running kernel, for the tests that need it.
#ifndef UNSPLIT_TESTS_REAL_MEMORY_H
#define UNSPLIT_TESTS_REAL_MEMORY_H

extern "C" {
#include "kernel/sysfs.h"
}

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace real_memory
{

inline size_t page_size()
{
	return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

inline size_t unit_size()
{
	uint64_t size;

	return sysfs_number(SYSFS_THP "hpage_pmd_size", &size) ? size : size_t{2} << 20;
}

// Whether advised memory is huge here, by the system's knob and what our parent may have set (K6).
inline bool huge_when_advised()
{
	char word[16];

	return sysfs_choice(SYSFS_THP "enabled", word, sizeof(word)) &&
	       strcmp(word, "never") != 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) != 1;
}

// Anonymous memory that starts at a unit.
class Area
{
      public:
	Area(size_t bytes, int protection) : bytes_(bytes)
	{
		size_t unit = unit_size();
		reserved_ = bytes + unit;
		map_ = mmap(nullptr, reserved_, protection,
		            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		EXPECT_NE(map_, MAP_FAILED);
		auto start = reinterpret_cast<uintptr_t>(map_);
		addr_ = reinterpret_cast<char *>((start + unit - 1) / unit * unit);
	}
	~Area()
	{
		munmap(map_, reserved_);
	}
	Area(const Area &) = delete;
	Area &operator=(const Area &) = delete;

	char *addr() const
	{
		return addr_;
	}
	size_t bytes() const
	{
		return bytes_;
	}
	void advise(int advice)
	{
		ASSERT_EQ(madvise(addr_, bytes_, advice), 0);
	}
	// Write one byte to every `step`-th page.
	void touch(size_t step)
	{
		for (size_t at = 0; at < bytes_; at += step * page_size())
			*const_cast<volatile char *>(addr_ + at) = 1;
	}

      private:
	size_t bytes_, reserved_;
	void *map_;
	char *addr_;
};

} // namespace real_memory

#endif
