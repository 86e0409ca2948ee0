/*
 * degrade.c: run a program where something it might count on is missing.
 *
 *	degrade [OPTION]... -- COMMAND...
 *
 *	--preload LIBRARY	LD_PRELOAD of the command
 *	--as BYTES		RLIMIT_AS
 *	--refuse CALL		the system call fails as under a seccomp filter: madvise, membarrier,
 *				prctl and perf_event_open with EPERM, pagemap-scan (an ioctl) with ENOTTY
 *	--no-thp		PR_SET_THP_DISABLE, as a careless parent leaves it
 *	--secure		real and effective user differ, so that AT_SECURE is set; needs root
 *
 * Exit status 77 says that this machine does not let us do it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/ioctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NOT_POSSIBLE = 77, NOBODY = 65534 };

/* Newer than the headers of Debian 12: _IOWR('f', 16, struct pm_scan_arg), which is 96 bytes. */
#define PAGEMAP_SCAN_IOCTL _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, 96)

struct refusal {
	const char *name;
	uint32_t call;
	uint32_t argument; /* the low half of the second argument; 0 stands for any */
	uint16_t error;
};

static const struct refusal refusals[] = {
	{"madvise", SYS_madvise, 0, EPERM},
	{"membarrier", SYS_membarrier, 0, EPERM},
	{"prctl", SYS_prctl, 0, EPERM},
	{"perf_event_open", SYS_perf_event_open, 0, EPERM},
	{"pagemap-scan", SYS_ioctl, PAGEMAP_SCAN_IOCTL, ENOTTY},
};

static void fail(const char *what)
{
	int status = errno == EPERM || errno == EACCES ? NOT_POSSIBLE : 2;

	perror(what);
	exit(status);
}

static void install(const struct refusal *refusal)
{
	uint32_t any = refusal->argument == 0;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refusal->call, 0, 4),
		BPF_JUMP(BPF_JMP | BPF_JA, any ? 2 : 0, 0, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refusal->argument, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | refusal->error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		fail("seccomp");
}

static void refuse(const char *name)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (strcmp(refusals[i].name, name) == 0) {
			install(&refusals[i]);
			return;
		}
	}
	fprintf(stderr, "degrade: cannot refuse %s\n", name);
	exit(2);
}

static void limit_address_space(const char *bytes)
{
	struct rlimit limit = {strtoull(bytes, NULL, 10), strtoull(bytes, NULL, 10)};

	if (setrlimit(RLIMIT_AS, &limit) != 0)
		fail("setrlimit");
}

/* Returns how many words of argv the option took; 0 if it is none. */
static int option(char **argv)
{
	const char *name = argv[0], *value = argv[1];

	if (strcmp(name, "--no-thp") == 0) {
		if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
			fail("PR_SET_THP_DISABLE");
		return 1;
	}
	if (strcmp(name, "--secure") == 0) {
		if (setresuid(NOBODY, 0, 0) != 0)
			fail("setresuid");
		return 1;
	}
	if (value && strcmp(name, "--preload") == 0)
		setenv("LD_PRELOAD", value, 1);
	else if (value && strcmp(name, "--as") == 0)
		limit_address_space(value);
	else if (value && strcmp(name, "--refuse") == 0)
		refuse(value);
	else
		return 0;
	return 2;
}

int main(int argc, char **argv)
{
	int taken;

	/* A filter without privileges must promise that nobody gains any; but --secure is about
	 * privileges, and root needs no such promise. */
	if (geteuid() != 0)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	argv++;
	while (*argv && strcmp(*argv, "--") != 0) {
		taken = option(argv);
		if (taken == 0) {
			fprintf(stderr, "degrade: %s?\n", *argv);
			return 2;
		}
		argv += taken;
	}
	if (!*argv || !argv[1])
		return 2;
	execvp(argv[1], argv + 1);
	fail(argv[1]);
	return 2;
}
