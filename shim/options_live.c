/* options_live.c: which options may change while the program runs. */
#include "options.h"

#include <string.h>

/* Those that are looked at anew by each decision.  The others shaped what exists by now: zones,
 * threads, where the blocks lie that were handed out. */
static const char *const live[] = {
	"release",      "delay", "bound", "heal",   "huge_after",
	"thread_cache", "pack",  "pad",   "report", "deepbind",
};

bool option_is_live(const struct option_row *row)
{
	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (strcmp(row->name, live[i]) == 0)
			return true;
	return false;
}
