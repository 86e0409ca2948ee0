/* malloc before any constructor and after main: every stage allocates, and frees what the stage
 * before it left. */
#include "early.h"
#include "support.h"

#include <cstdlib>

namespace
{

void preinit(int, char **, char **)
{
	early_stage_reached(STAGE_PREINIT);
}

/* Runs before the constructors of all libraries, and so before the shim's. */
__attribute__((section(".preinit_array"), used)) void (*preinit_entry)(int, char **,
                                                                       char **) = preinit;

__attribute__((constructor(101))) void constructor()
{
	early_stage_reached(STAGE_CONSTRUCTOR);
}

__attribute__((destructor(101))) void destructor()
{
	early_stage_reached(STAGE_DESTRUCTOR);
}

struct Object {
	Object()
	{
		early_stage_reached(STAGE_STATIC_OBJECT);
	}
	~Object()
	{
		early_stage_reached(STAGE_STATIC_DESTRUCTOR);
	}
} object;

} // namespace

int main()
{
	if (!support::plain() && !support::shim_loaded())
		return 2;
	early_stage_reached(STAGE_MAIN);
	return atexit([] { early_stage_reached(STAGE_ATEXIT); });
}
