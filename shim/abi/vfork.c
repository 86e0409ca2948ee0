/*
 * vfork.c: vfork, so that what we set for this process is undone while its child becomes another
 * program (process/thp.h).
 *
 * The child runs on our stack and returns from vfork() first, through our frame: a function in C
 * would find its return address overwritten when the parent comes back.  As in libc the return
 * address waits in a register instead, and the child jumps to it.
 *
 * Other processors than x86-64 keep libc's vfork: there a child's own exec clears the flag, and the
 * parent is without it until the next call that sets it.
 */
#include <errno.h>
#include <sys/types.h>

#include "abi/export.h"
#include "process/thp.h"

#if defined(__x86_64__)

/* In the parent, or if there is no child. */
__attribute__((used)) static pid_t after_vfork(long result)
{
	process_thp_child_end();
	if (result < 0) {
		errno = (int)-result;
		return -1;
	}
	return (pid_t)result;
}

__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, @function\n"
        "vfork:\n"
        ".cfi_startproc\n"
        "	cmpb $0, process_thp_armed(%rip)\n"
        "	jne 1f\n"
        "	jmp *__vfork@GOTPCREL(%rip)\n"
        "1:	subq $8, %rsp\n"
        ".cfi_adjust_cfa_offset 8\n"
        "	call process_thp_child_begin\n"
        "	addq $8, %rsp\n"
        ".cfi_adjust_cfa_offset -8\n"
        "	popq %rdi\n"
        ".cfi_adjust_cfa_offset -8\n"
        ".cfi_register %rip, %rdi\n"
        "	movl $58, %eax\n" /* SYS_vfork */
        "	syscall\n"
        "	testq %rax, %rax\n"
        "	jnz 2f\n"
        "	jmp *%rdi\n" /* no ret: a shadow stack would miss the call */
        "2:	pushq %rdi\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_offset %rip, -8\n"
        "	movq %rax, %rdi\n"
        "	jmp after_vfork\n"
        ".cfi_endproc\n"
        ".size vfork, . - vfork\n");

#endif
