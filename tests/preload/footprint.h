/* footprint.h: what running a small program costs. */
#ifndef UNSPLIT_TESTS_FOOTPRINT_H
#define UNSPLIT_TESTS_FOOTPRINT_H

#include <cstddef>
#include <string>
#include <vector>

struct Footprint {
	bool loaded;      /* the preloaded library was mapped at its end */
	int status;       /* of wait() */
	size_t peak;      /* bytes: the most that was resident */
	size_t faults;    /* minor page faults after exec */
	size_t huge;      /* bytes in huge pages at its end */
	size_t anonymous; /* bytes of anonymous memory at its end */
};

/* Run a program to its end with this LD_PRELOAD ("" for none) and its output thrown away.
 *
 * ru_maxrss will not do: exec passes the peak of the process that forked on to the program (the
 * kernel keeps the higher one).  So the program is traced, and its own figures are read at the
 * moment it exits. */
Footprint footprint_of(const std::vector<std::string> &command, const std::string &preload);

#endif
