/*
 * kernel.h: everything we ask of the kernel about memory, behind one struct.
 *
 * Nobody outside shim/kernel/ makes a memory system call.  The rest of the shim calls through
 * `kernel`, which points at the Linux implementation; unit tests point it at a fake that records
 * every call and can fail any of them.
 *
 * Vocabulary
 *   page   the kernel's base page (4 KiB on x86-64); `machine.page` bytes
 *   unit   one naturally aligned range of the size of a PMD page (2 MiB on x86-64);
 *          `machine.unit` bytes.  What the kernel can map with one huge page
 *   grain  1/512 of a unit, never smaller than a page (4 KiB on x86-64); `machine.grain` bytes.
 *          The granularity of extents (pmd/filler.h)
 *
 * Error convention: 0 or a positive errno value is returned; `errno` itself is never changed, so
 * that free() keeps it whatever we do inside.
 *
 * "K1", "K2", ... in comments name the measured facts about what each call does to a huge page;
 * they are listed in the README under "What the kernel does".
 */
#ifndef UNSPLIT_KERNEL_KERNEL_H
#define UNSPLIT_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel says of one unit. */
struct kernel_unit {
	unsigned resident; /* grains of it that are backed by memory of ours */
	bool huge;         /* it is one huge page */
};

/* Where the memory of a range shall lie, on a machine with several NUMA nodes. */
struct placement {
	enum {
		PLACE_ANYWHERE,
		PLACE_ON,         /* on this node and no other */
		PLACE_PREFERABLY, /* on this node if it has memory left */
		PLACE_INTERLEAVED /* evenly over all nodes, by unit where units are huge */
	} mode;
	unsigned node;
};

struct kernel {
	/* Reserve address space, PROT_NONE, not accounted, at `hint` if that is free, else
	 * anywhere.  Page aligned.  Returns NULL on failure. */
	void *(*reserve)(void *hint, size_t bytes);
	/* Undo reserve(), for a whole reservation or a page-aligned part of it. */
	int (*unreserve)(void *addr, size_t bytes);
	/* Make reserved pages readable and writable.  ENOMEM under strict overcommit. */
	int (*make_usable)(void *addr, size_t bytes);

	/* MADV_HUGEPAGE: faults in whole units of the range may be huge from now on. */
	int (*advise_huge)(void *addr, size_t bytes);
	/* MADV_NOHUGEPAGE: neither faults nor khugepaged make huge pages in the range.  A huge
	 * page already there stays (K1). */
	int (*advise_base)(void *addr, size_t bytes);

	/* MADV_DONTNEED.  On whole units nothing is split and the memory is free at once; on part
	 * of a huge page it is a lie (K1): call it there only after split(). */
	int (*give_back)(void *addr, size_t bytes);
	/* Split what large folios a unit consists of, synchronously: MADV_COLD on part of it (K1).
	 * Contents are kept, and subpages that hold only zeros are freed.  EINVAL if locked.
	 * Success does not mean that it was split: see survey(). */
	int (*split)(void *unit);
	/* MADV_COLLAPSE on one unit: make it one huge page, contents kept (K5).  EAGAIN and ENOMEM
	 * are ordinary. */
	int (*collapse)(void *unit);
	/* Move whole units with mremap to `to`, which must be whole unused units of the same
	 * zone.  The source stays mapped and reads zero.  Contents and huge pages move (K3).  The
	 * destination becomes a VMA of its own. */
	int (*move)(void *from, size_t bytes, void *to);
	/* Put fresh anonymous memory in place of whole units that move() went to, so that their
	 * VMA can merge with its neighbours again.  The advice is gone with the old mapping. */
	int (*remap)(void *addr, size_t bytes);
	/* Place what is faulted in from now on (mbind).  A range with another placement than its
	 * neighbour's is a VMA of its own. */
	int (*place)(void *addr, size_t bytes, const struct placement *where);
	/* Name anonymous memory in /proc/PID/maps: PR_SET_VMA_ANON_NAME.  Nothing where the kernel
	 * was built without; a range with another name than its neighbour's is a VMA of its own. */
	void (*name)(void *addr, size_t bytes, const char *name);
	/* The node that the calling thread runs on now, and how many nodes may hold memory (1 on
	 * most machines; asked once). */
	unsigned (*node)(void);
	unsigned (*nodes)(void);
	/* The processor that the calling thread runs on now, and whether its affinity keeps it from
	 * running on one. */
	unsigned (*processor)(void);
	bool (*kept_from)(unsigned processor);
	/* Set nodes[i] to the node that the page at pages[i] lies on; below 0 if it is not in
	 * memory, or is the zero page (move_pages). */
	int (*locate)(void *const *pages, size_t count, int *nodes);
	/* Fault everything in now, in huge pages where they may be, and keep what is there (K2).
	 * `writable` is false for memory that may only be read. */
	int (*populate)(void *addr, size_t bytes, bool writable);
	/* What `count` units from addr on are; an errno value if the kernel cannot say (< 6.7). */
	int (*survey)(void *addr, size_t count, struct kernel_unit *units);
	/* Whether no forked child or parent shares a page of the unit.  The kernel does not split
	 * a folio that is shared, and giving back part of one would leave it partially mapped. */
	bool (*exclusive)(void *unit);
	/* Bytes of [addr, addr+bytes) that are resident; SIZE_MAX if the kernel will not say. */
	size_t (*resident)(void *addr, size_t bytes);

	/* Bytes of address space the process may have (RLIMIT_AS); SIZE_MAX if unlimited. */
	size_t (*address_limit)(void);

	/* Whether the memory cgroup is near its limit, and whether memory is short for that or
	 * another reason (kernel/pressure.h). */
	bool (*near_limit)(void);
	bool (*pressure)(void);

	/* Nanoseconds of a monotonic clock. */
	uint64_t (*now)(void);
	/* Nanoseconds of processor time that the calling thread has taken. */
	uint64_t (*processor_time)(void);
};

extern const struct kernel *kernel;
extern const struct kernel kernel_linux;

/* What this machine is; filled once by machine_init(), read by everybody after. */
struct machine {
	size_t page;  /* bytes of a base page */
	size_t unit;  /* bytes of a unit */
	size_t grain; /* unit / 512 */
	unsigned unit_shift;
	unsigned grain_shift;
	bool pmd_known; /* hpage_pmd_size was readable: the kernel has THP at all */
};

extern struct machine machine;

/* Read page and PMD size.  Idempotent, makes three system calls, allocates nothing. */
void machine_init(void);
/* Set the derived fields from `page` and `unit` (powers of two, bytes).  machine_init() uses it,
 * and tests to try other machines. */
void machine_set(size_t page, size_t unit);

#endif
