/*
 * unsplit.h: what a program that knows of unsplit can ask of it.
 *
 * Link with -lunsplit, or look the functions up with dlsym(RTLD_DEFAULT, ...) when the library may
 * be preloaded.  All functions are thread-safe; none is async-signal-safe.
 */
#ifndef UNSPLIT_UNSPLIT_H
#define UNSPLIT_UNSPLIT_H

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, such as "0.1.0".  Never NULL; never freed.  Cannot fail. */
const char *unsplit_version(void);

/* Return to the kernel all that can be returned: every unit (one PMD-sized range: 2 MiB on x86-64)
 * that holds nothing, after collecting what the calling thread's caches hold, and, unless the
 * option `release` is keep, the free pages of every partly used unit, which is split for it.  Takes
 * 9 us a whole unit, 0.3 to 0.6 ms one that is split (README, K8, K1).
 * Returns 1 if memory was returned, 0 if there was none to return.  errno is kept. */
int unsplit_trim(void);

/* Write the report, as at exit (option `report`), now: to "stderr" or to a path in which %p becomes
 * the process id; JSON if the path ends in ".json".  Reads the kernel's page tables: 0.5 ms for
 * 8 GiB of huge pages, more where they are split (README, K7).
 * Returns 0, or an errno value: what open(2) says of the path. */
int unsplit_report(const char *where);

#ifdef __cplusplus
}
#endif

#endif
