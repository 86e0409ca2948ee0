/* A C++ plugin whose operator new cannot be met: std::bad_alloc must reach its catch, although the
 * program that loaded it knows nothing of C++. */
#include "plugin.h"
#include "support.h"

#include <cstdint>
#include <new>
#include <string>

using support::hidden;

static int handler_calls;

static void give_up_later()
{
	if (++handler_calls == 2)
		std::set_new_handler(nullptr);
}

static bool throws(size_t size)
{
	try {
		::operator delete(::operator new(size));
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static bool aligned_throws(size_t size)
{
	try {
		auto alignment = std::align_val_t{4096};

		::operator delete(::operator new(size, alignment), alignment);
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

extern "C" PLUGIN_EXPORT const char *check()
{
	if (std::string(100000, 'x').size() != 100000)
		return "a string of 100000 characters has another length";
	if (!throws(hidden(SIZE_MAX)) || !throws(hidden(SIZE_MAX / 2)))
		return "operator new of an impossible size did not throw";
	if (!aligned_throws(hidden(SIZE_MAX / 2)))
		return "aligned operator new of an impossible size did not throw";
	if (::operator new(hidden(SIZE_MAX), std::nothrow) != nullptr)
		return "nothrow operator new of an impossible size gave memory";
	handler_calls = 0;
	std::set_new_handler(give_up_later);
	if (!throws(hidden(SIZE_MAX)) || handler_calls != 2)
		return "the new handler was not asked until it gave up";
	return nullptr;
}
