// The system calls of the mmap family, as the running kernel does them, any of which can be made to
// fail.
#pragma once

extern "C" {
#include "kernel/mapping.h"
}

namespace failing
{

// Which call fails (counted from 1; 0: none), and with what; how many were made.
inline int fail_at, fail_with, calls;

inline bool fails()
{
	return ++calls == fail_at;
}

inline long advise(void *addr, size_t bytes, int advice)
{
	return fails() ? -fail_with : raw_madvise(addr, bytes, advice);
}

constexpr struct kernel_map hooks = {
	[](void *addr, size_t bytes, int access, int flags, int fd, long offset) {
		return fails() ? -fail_with : raw_mmap(addr, bytes, access, flags, fd, offset);
	},
	[](void *addr, size_t bytes) { return fails() ? -fail_with : raw_munmap(addr, bytes); },
	[](void *addr, size_t bytes, size_t more, int flags, void *to) {
		return fails() ? -fail_with : raw_mremap(addr, bytes, more, flags, to);
	},
	advise,
	[](void *addr, size_t bytes, int access) {
		return fails() ? -fail_with : raw_mprotect(addr, bytes, access);
	},
};

} // namespace failing
