/* example.c: a program that knows of unsplit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unsplit/unsplit.h>

int main(void)
{
	const size_t bytes = 64ul << 20;
	/* How the block shall be treated, unless the rule file has a [plan block]. */
	const struct unsplit_plan settings = {
		.size = sizeof(settings), .pages = UNSPLIT_PAGES_HUGE, .populate = 1};
	const struct unsplit_plan *plan = unsplit_plan_create("block", &settings);
	struct unsplit_memory memory;
	struct unsplit_region *region = unsplit_region_create();
	char *word = region ? unsplit_region_alloc(region, 100, 0) : NULL;
	char *block = unsplit_malloc(bytes, plan);

	if (!plan || !word || !block || unsplit_memory(&memory, sizeof(memory)))
		return 1;
	strcpy(word, memory.resident >= bytes ? "in memory" : "not in memory");
	printf("unsplit %s: a block %s", unsplit_version(), word);
	unsplit_region_destroy(region);
	free(block);
	puts(unsplit_trim() ? ", given back" : ", not given back");
	return 0;
}
