// A parser with a mistake in it, which a fuzzer must find: it looks behind its input.
#include "fuzz.h"

#include <cstring>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && memchr(data, 0x7f, size)) {
		volatile uint8_t behind = data[size];

		(void)behind;
	}
	return 0;
}
