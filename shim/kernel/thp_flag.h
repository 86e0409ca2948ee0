/*
 * thp_flag.h: the kernel's flag of a process against transparent huge pages (K6).
 *
 * It belongs to the address space: a child of vfork() shares it with its parent, a child of fork()
 * has a copy, and exec hands it on to the new program.  It decides about faults and collapses from
 * then on; huge pages that are there stay.
 *
 * The policy (process/thp.h) calls through `kernel_thp`, which a unit test may replace.  All is
 * thread-safe, async-signal-safe, and keeps errno.
 */
#ifndef UNSPLIT_KERNEL_THP_FLAG_H
#define UNSPLIT_KERNEL_THP_FLAG_H

/* The values, as PR_GET_THP_DISABLE returns them. */
enum thp_flag {
	THP_FLAG_CLEAR = 0,
	THP_FLAG_NEVER = 1,   /* no huge page anywhere, and no MADV_COLLAPSE */
	THP_FLAG_ADVISED = 3, /* only where MADV_HUGEPAGE or MADV_COLLAPSE asks; Linux 6.18 */
};

/* prctl's own name for the second bit, which is newer than Debian 12's headers. */
#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED (1 << 1)
#endif

struct kernel_thp {
	/* 0, or an errno value: EINVAL if this kernel does not know the flag. */
	int (*set)(enum thp_flag flag);
	/* An enum thp_flag, or a negative errno value. */
	int (*get)(void);
};

extern const struct kernel_thp *kernel_thp;
extern const struct kernel_thp kernel_thp_linux;

#endif
