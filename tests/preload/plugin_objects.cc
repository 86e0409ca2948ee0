/* A C++ plugin with objects of static life time: dlopen runs constructors that allocate, dlclose
 * the destructors that free. */
#include "plugin.h"

#include <map>
#include <string>
#include <vector>

namespace
{

struct Contents {
	std::map<int, std::string> names;
	std::vector<std::vector<char>> blocks;

	Contents()
	{
		for (int i = 0; i < 50; i++)
			names[i] = std::string(i * 10, 'n');
		for (size_t size : {100, 5000, 30000, 300000})
			blocks.emplace_back(size, 'b');
	}
};

Contents contents;
thread_local std::string scratch(200, 's');

} // namespace

extern "C" PLUGIN_EXPORT const char *check()
{
	if (contents.names.at(49).size() != 490 || contents.blocks.back().back() != 'b')
		return "an object of the plugin is damaged";
	scratch += "more";
	return scratch.size() >= 204 ? nullptr : "a thread_local of the plugin is damaged";
}
