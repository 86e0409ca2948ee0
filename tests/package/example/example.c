/* example.c: a program that knows of unsplit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unsplit/unsplit.h>

int main(void)
{
	const struct unsplit_plan plan = {sizeof(plan), UNSPLIT_PAGES_HUGE, 1};
	const size_t bytes = 64ul << 20;
	struct unsplit_memory memory;
	struct unsplit_region *region = unsplit_region_create();
	char *word = region ? unsplit_region_alloc(region, 100, 0) : NULL;
	char *block = unsplit_malloc(bytes, &plan);

	if (!word || !block || unsplit_memory(&memory, sizeof(memory)))
		return 1;
	strcpy(word, memory.resident >= bytes ? "in memory" : "not in memory");
	printf("unsplit %s: a block %s", unsplit_version(), word);
	unsplit_region_destroy(region);
	free(block);
	puts(unsplit_trim() ? ", given back" : ", not given back");
	return 0;
}
