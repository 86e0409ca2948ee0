/*
 * vma_name.h: names for memory, as /proc/PID/maps and smaps show them: "[anon:unsplit large]".
 *
 * PR_SET_VMA_ANON_NAME is Linux 5.17's, where it was built with CONFIG_ANON_VMA_NAME; Debian 12's
 * kernel was not.  Thread-safe, keeps errno, calls no malloc.
 */
#ifndef UNSPLIT_KERNEL_VMA_NAME_H
#define UNSPLIT_KERNEL_VMA_NAME_H

#include <stddef.h>

/* The kernel takes at most so many bytes, the final 0 included. */
enum { VMA_NAME = 80 };

/* "unsplit " and `name`, cut to fit; what the kernel refuses in a name is made '_'. */
void vma_name_text(char text[VMA_NAME], const char *name);

/* Name [addr, addr+bytes), page aligned; what is not anonymous gets none.  Once the kernel has said
 * that it knows no names, nothing more is asked of it. */
void vma_name(void *addr, size_t bytes, const char *name);

#endif
