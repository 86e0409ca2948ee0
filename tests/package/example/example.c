/* example.c: a program that knows of unsplit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unsplit/unsplit.h>

int main(void)
{
	const size_t bytes = 64ul << 20;
	char *block = malloc(bytes);

	if (!block)
		return 1;
	memset(block, 1, bytes);
	free(block);
	printf("unsplit %s: %s\n", unsplit_version(),
	       unsplit_trim() ? "returned what was free" : "nothing to return");
	return 0;
}
