/* The shared library that early_test links: its constructor runs before any of the program's, its
 * destructor after all of them. */
#include "early.h"
#include "support.h"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace
{

constexpr size_t kept_size = 40000;
void *kept;
int next_stage;

void fail(enum early_stage stage, const char *what)
{
	dprintf(STDERR_FILENO, "stage %d: %s\n", stage, what);
	_exit(1);
}

void use_every_kind(enum early_stage stage)
{
	for (size_t size : {1ul, 100ul, 5000ul, 20000ul, 300000ul, 3000000ul}) {
		void *p = malloc(size);
		void *q = calloc(1, size);

		if (!p || !q)
			fail(stage, "no memory");
		support::fill(p, size, stage);
		p = realloc(p, 2 * size);
		if (!support::filled(p, size, stage))
			fail(stage, "realloc lost contents");
		free(q);
		free(p);
	}
}

} // namespace

extern "C" void early_stage_reached(enum early_stage stage)
{
	if (stage != next_stage++)
		fail(stage, "out of order");
	use_every_kind(stage);
	if (kept && !support::filled(kept, kept_size, 1))
		fail(stage, "the block of the stage before is damaged");
	free(kept);
	kept = malloc(kept_size);
	support::fill(kept, kept_size, 1);
}

__attribute__((constructor)) static void library_constructor()
{
	early_stage_reached(STAGE_LIBRARY_CONSTRUCTOR);
}

__attribute__((destructor)) static void library_destructor()
{
	if (next_stage != STAGE_COUNT)
		fail(STAGE_COUNT, "a stage did not run");
}
