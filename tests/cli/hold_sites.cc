/* hold_sites.cc: holds 48 MiB of one function and 8 MiB of another until its input ends. */
#include <cstdlib>
#include <cstring>
#include <iostream>

/* Exported and never inlined, so that they can be named. */
#ifdef __clang__
#define NAMED __attribute__((noinline, optnone, visibility("default")))
#else
#define NAMED __attribute__((noipa, visibility("default")))
#endif

namespace holder
{

void *grow(size_t bytes);
void *scratch(size_t bytes);

NAMED void *grow(size_t bytes)
{
	return memset(malloc(bytes), 1, bytes);
}

NAMED void *scratch(size_t bytes)
{
	return memset(malloc(bytes), 2, bytes);
}

} // namespace holder

int main()
{
	for (int i = 0; i < 16; i++)
		holder::grow(size_t{3} << 20);
	holder::scratch(size_t{8} << 20);
	/* These keep the C++ library, and its demangler, loaded. */
	std::cout << "ready" << std::endl;
	std::cin.get();
	return 0;
}
