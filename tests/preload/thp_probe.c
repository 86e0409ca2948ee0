/*
 * thp_probe.c: print this process' flag against huge pages, as the kernel has it.
 *
 *	thp_probe [DESCRIPTOR]		write it there instead of to standard output
 *
 * By a bare system call: prctl() would tell what the program set, not what we made of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int to = argc > 1 ? atoi(argv[1]) : STDOUT_FILENO;

	return dprintf(to, "%ld\n", syscall(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0)) < 0;
}
