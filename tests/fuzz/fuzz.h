// fuzz.h: what the fuzz targets share.
#ifndef UNSPLIT_TESTS_FUZZ_H
#define UNSPLIT_TESTS_FUZZ_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

// Called for each input; returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What must hold for any input; abort() is what fuzzers take for a finding.
#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
