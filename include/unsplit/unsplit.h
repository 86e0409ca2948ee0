/*
 * unsplit.h: what a program that knows of unsplit can ask of it.
 *
 * Link with -lunsplit, or look the functions up with dlsym(RTLD_DEFAULT, ...) when the library may
 * be preloaded.
 *
 * Vocabulary
 *   unit    one aligned range of the size of a huge page: 2 MiB on x86-64.  unsplit_stats() tells
 *   broken  said of a unit that is in memory, but not as one huge page
 *   slack   memory that is free but lies in partly used units
 *
 * All sizes are in bytes.  All functions are thread-safe, and may be called in a forked child. They
 * are not async-signal-safe, but for unsplit_version().  Those that return an int return 0 or an
 * errno value, unless they say otherwise, and keep errno.
 *
 * Structs only ever grow at their end.  Their first member, or the argument `size`, says which of
 * their versions the program was compiled with.
 */
#ifndef UNSPLIT_UNSPLIT_H
#define UNSPLIT_UNSPLIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, such as "0.1.0".  Never NULL; never freed.  Cannot fail. */
const char *unsplit_version(void);

/* ---- giving back, and healing ---- */

/* Return to the kernel all that can be returned: every unit that holds nothing, after collecting
 * what the calling thread's caches hold, and, unless the option `release` is keep, the free pages
 * of every partly used unit, which is split for it.  Takes 9 us a whole unit, 0.3 to 0.6 ms one
 * that is split (README, K8, K1).
 * Returns 1 if memory was returned, 0 if there was none to return.  errno is kept. */
int unsplit_trim(void);

/* Give back the free pages of partly used units, those with the most slack first, until `bytes`
 * were given back (SIZE_MAX: all of them), whatever the option `release` says.  Each unit is split
 * for it, on purpose, in 0.3 to 0.6 ms (README, K1); it is made whole again when it has filled
 * again (option `heal`, unsplit_heal()).
 * Returns the bytes given back; 0 if there were none to give.  errno is kept. */
size_t unsplit_demote(size_t bytes);

/* Make broken units that are at least half used one huge page again, now, whatever the option
 * `heal` says: for a moment when waiting is cheap.  Takes 0.3 to 1.6 ms each (README, K5), between
 * which other threads can do the same.  Left alone are units that a forked child shares, and all
 * that would make slack grow beyond what is tolerated (option `bound`).
 * Returns the bytes made huge; 0 if there was nothing to do, or if the heap is not on huge pages
 * (option `huge`, transparent_hugepage/enabled).  errno is kept. */
size_t unsplit_heal(void);

/* ---- options ---- */

/* Change an option while the program runs.  `value` has the form it has in UNSPLIT_CONF; see
 * unsplit.conf(5), which marks those that can be changed: release, delay, bound, heal, huge_after,
 * thread_cache, pack, pad, report and deepbind.  Takes effect with the next decision that the
 * option governs: within 250 ms where the background thread decides.
 * Returns 0; ENOENT if there is no such option, EINVAL if the value is not accepted or an argument
 * is NULL, EPERM if the option cannot be changed after the start.  Then nothing has changed. */
int unsplit_set(const char *name, const char *value);

/* Write the present value of an option into buf, in the form that unsplit_set() takes, cut to
 * `size` with its NUL.
 * Returns 0; ENOENT if there is no such option, EINVAL if an argument is NULL, ERANGE if the value
 * was cut. */
int unsplit_get(const char *name, char *buf, size_t size);

/* ---- what is the case ---- */

/* What the library did and holds, by its own account. */
struct unsplit_stats {
	uint64_t size;             /* bytes of this struct that the library filled in */
	uint64_t unit;             /* bytes of a unit */
	uint64_t small_used;       /* bytes promised to mimalloc for small objects */
	uint64_t large_used;       /* bytes promised to larger requests */
	uint64_t used_peak;        /* bytes in units that held something, at the most */
	uint64_t huge_asked;       /* bytes of units in use that should be huge */
	uint64_t retained;         /* bytes in free units kept for the next demand */
	uint64_t slack;            /* bytes backed but free in partly used units */
	uint64_t returned_units;   /* units given back whole */
	uint64_t demoted_units;    /* units split on purpose to give part of them back */
	uint64_t demoted_bytes;    /* bytes given back from inside such units */
	uint64_t healed_units;     /* units made huge again */
	uint64_t heal_failures;    /* units that could not be made huge again */
	uint64_t longest_pause_ns; /* at most that a caller of malloc or free spent in all this */
	uint64_t out_of_memory;    /* requests that could not be met */
};

/* Fill in the first `size` bytes of *stats.  Members that this library does not know yet are 0, and
 * stats->size then is less than `size`.  Takes less than a microsecond.
 * Returns 0; EINVAL if stats is NULL or `size` is too small for the first member. */
int unsplit_stats(struct unsplit_stats *stats, size_t size);

/* One statistic by its name: those of the report, listed in libunsplit(3), of which there are more
 * than struct unsplit_stats has.
 * Returns 0; ENOENT if there is none of that name, EINVAL if an argument is NULL. */
int unsplit_stat(const char *name, uint64_t *value);

/* What the kernel gave. */
struct unsplit_memory {
	uint64_t size;     /* bytes of this struct that the library filled in */
	uint64_t in_range; /* bytes of the heap's addresses that were ever used */
	uint64_t resident; /* bytes of them in memory */
	uint64_t huge;     /* bytes of that on huge pages */
	uint64_t whole;    /* 1: before Linux 6.7 resident and huge are those of all anonymous
	                    * memory of the process */
};

/* Fill in the first `size` bytes of *memory, as unsplit_stats() does.  Reads the kernel's page
 * tables: 0.5 ms for 8 GiB of huge pages, more where they are split (README, K7).
 * Returns 0; EINVAL as unsplit_stats(); another errno value if the kernel will not say. */
int unsplit_memory(struct unsplit_memory *memory, size_t size);

/* Write the report, as at exit (option `report`), now: to "stderr" or to a path in which %p becomes
 * the process id; JSON if the path ends in ".json".  Takes as long as unsplit_memory().
 * Returns 0, or an errno value: what open(2) says of the path. */
int unsplit_report(const char *where);

/* ---- plans ---- */

/* A plan says how memory shall be treated, in the terms of a rule file (README, Rules).  0 in a
 * member leaves that to the options, so what is not wanted need not be known:
 *
 *   struct unsplit_plan plan = {0};
 *   plan.size = sizeof(plan);
 *   plan.pages = UNSPLIT_PAGES_HUGE;
 *
 * Blocks of 16 KiB (option `small_max`) and more lie in zones with those of the same plan, and with
 * those of other plans that ask for the same pages, release, heal and node (and, in a rule file,
 * name).  There are at most 16 kinds of zones in a process; what asks for one more is served as
 * usual, counted (plans_unmet of the report), and said once on stderr.
 * Smaller blocks share a page of 64 KiB only with their like; those pages lie in the usual zones,
 * so that the members of the plan have no effect on them. */
enum unsplit_pages {
	UNSPLIT_PAGES_DEFAULT,
	UNSPLIT_PAGES_HUGE, /* huge from the first byte on, whether or not the heap is big (option
	                     * `huge_after`) */
	UNSPLIT_PAGES_BASE, /* never huge */
};
enum unsplit_release {
	UNSPLIT_RELEASE_DEFAULT,
	UNSPLIT_RELEASE_KEEP,     /* as the values of the option `release` */
	UNSPLIT_RELEASE_BALANCED, /* (with release:tight, the same as tight) */
	UNSPLIT_RELEASE_TIGHT,
};
enum unsplit_heal {
	UNSPLIT_HEAL_DEFAULT,
	UNSPLIT_HEAL_ON,
	UNSPLIT_HEAL_OFF, /* what is broken stays so */
};
enum unsplit_node {
	UNSPLIT_NODE_DEFAULT,
	UNSPLIT_NODE_LOCAL,      /* the NUMA node of the thread that asks, while there is room */
	UNSPLIT_NODE_INTERLEAVE, /* all nodes in turn, by unit where units are huge */
	UNSPLIT_NODE_ONLY,       /* the node `node` and no other */
	UNSPLIT_NODE_PREFERRED,  /* the node `node`, while there is room */
};

struct unsplit_plan {
	size_t size;       /* sizeof(struct unsplit_plan) */
	uint32_t pages;    /* enum unsplit_pages */
	uint32_t populate; /* 1: have it in memory before the call returns; 0: at the first touch */
	uint32_t release;  /* enum unsplit_release */
	uint32_t heal;     /* enum unsplit_heal */
	uint32_t place;    /* enum unsplit_node */
	uint32_t node;     /* of UNSPLIT_NODE_ONLY and _PREFERRED; else 0 */
};

/* Give a plan a name of 1 to 47 bytes, so that whoever runs the program can have another one: if
 * the rule file (option `rules`, unsplit_load_rules()) has a section of that name, [plan NAME] or
 * [site NAME], what that says is the plan, and `settings` is not looked at further.
 * Returns the plan, which lives as long as the process and does not change; it may be used wherever
 * a plan is asked for, and costs less there than one of the program's own.  To ask again for the
 * same name and settings returns the same.
 * Returns NULL and sets errno: EINVAL if an argument is NULL, the name is too short or too long, or
 * `settings` has a size, a value or a member that this library does not know, or a node that is not
 * there; EEXIST if the program gave that name to other settings; ENOMEM if there are 128 plans.
 * A node needs libnuma.so.1; without it memory comes from where it comes (place_failures of the
 * report). */
const struct unsplit_plan *unsplit_plan_create(const char *name,
                                               const struct unsplit_plan *settings);

/* The plan of that name: the rule file's, else the program's.
 * Returns NULL and sets errno: ENOENT if there is none, EINVAL if `name` is NULL, ENOMEM if there
 * are 128 plans. */
const struct unsplit_plan *unsplit_plan_find(const char *name);

/* Use the rules of the file at `path` instead of those in force; NULL: none.  They decide requests
 * from now on, also those of call sites seen before; blocks stay where they are, and plans as they
 * are that were returned before.  The rules of several calls at once take effect one after the
 * other.  Each call takes memory for good: that of the file, and some KiB.
 * If the file has a mistake, nothing changes, and the first one, "FILE:LINE:COLUMN: what is wrong;
 * accepted: ...", is written into `mistake`, cut to `size` with its NUL; all are written to stderr
 * if `mistake` is NULL.
 * Returns 0; EINVAL if the file has a mistake or cannot be read (then `mistake` says why), ENOMEM
 * if there is no memory, EPERM with the option `learn`, which rules would disturb. */
int unsplit_load_rules(const char *path, char *mistake, size_t size);

/* ---- memory with a plan ---- */

/* Allocate as malloc(), calloc() and aligned_alloc() do, as `plan` says, whatever the rules say of
 * the call site; NULL: as if they were called.  `plan` may be the program's own or one of
 * unsplit_plan_create(); of the program's own, the library remembers each that differs.  A block
 * that shall share no unit with others is asked for with `align` and a multiple of a unit.
 * As with every huge page, it is the kernel that gives them; where it has none, or is told to give
 * none (option `huge`, transparent_hugepage/enabled), base pages take their place.
 * To be freed by free().  realloc() keeps the plan where the block had and has 16 KiB (option
 * `small_max`); else it forgets it.
 * They return NULL and set errno: ENOMEM as malloc(), or if there are 128 plans; EINVAL if `plan`
 * is not what unsplit_plan_create() accepts, or `align` is no power of two. */
void *unsplit_malloc(size_t bytes, const struct unsplit_plan *plan);
void *unsplit_calloc(size_t count, size_t bytes, const struct unsplit_plan *plan);
void *unsplit_aligned_alloc(size_t align, size_t bytes, const struct unsplit_plan *plan);

/* A region: blocks that are allocated one behind the other on whole units, and freed all together.
 * What a request, an image or a phase of a compiler needs, and then no more. */
struct unsplit_region;

/* Make a region, with huge pages from its first byte on, or as `plan` says.  It takes one unit at
 * once, and one more whenever that is full.
 * They return NULL and set errno: ENOMEM if there is no memory; EINVAL as unsplit_malloc(). */
struct unsplit_region *unsplit_region_create(void);
struct unsplit_region *unsplit_region_create_planned(const struct unsplit_plan *plan);

/* Allocate `bytes`, aligned to `align`, a power of two of at most a unit (0: 16), from `region`.
 * The contents are undefined.  What the present unit has left is given up if it is too little.
 * Threads can allocate from one region at the same time, without waiting for each other.
 * Returns NULL and sets errno: ENOMEM if there is no memory, EINVAL for another `align`. */
void *unsplit_region_alloc(struct unsplit_region *region, size_t bytes, size_t align);

/* Free a region with everything that was allocated from it: whole units, so that none is left
 * partly used.  No thread may use the region any more.  NULL is ignored.  errno is kept. */
void unsplit_region_destroy(struct unsplit_region *region);

#ifdef __cplusplus
}
#endif

#endif
