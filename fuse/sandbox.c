/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox.c - Landlock denies every access by name, but for reading where that is allowed; seccomp
 * denies every call that is not on a list.
 *
 * Both are set up by hand: the Landlock header of the build host may be older than the kernel, and
 * a list of calls needs no library.
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "err.h"
#include "host.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define ARCH AUDIT_ARCH_S390X
#else
#define ARCH 0 /* no filter was tried here */
#endif

/* Sanitizers open files, read /proc and call what they like. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* The kernel's struct landlock_ruleset_attr, as of Landlock ABI 6.  Older kernels take the longer
 * one as long as what they do not know is 0. */
struct ruleset {
	uint64_t access_fs;
	uint64_t access_net;
	uint64_t scoped;
};

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#ifndef SYS_landlock_add_rule
#define SYS_landlock_add_rule 445
#endif
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_GIVE_VERSION 1u
#define LANDLOCK_PATH_BENEATH 1
#define LANDLOCK_READ         (UINT64_C(1) << 2 | UINT64_C(1) << 3) /* files, directories */
/* Writing and cutting files, removing and making them. */
#define LANDLOCK_WRITE (UINT64_C(1) << 1 | UINT64_C(1) << 14 | UINT64_C(1) << 5 | UINT64_C(1) << 8)

/* struct landlock_path_beneath_attr */
struct beneath {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

static int landlock_version(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_GIVE_VERSION);
}

/* Everything that a version can deny. */
static struct ruleset all_rights(int version)
{
	unsigned nfs = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;

	return (struct ruleset){
		.access_fs = (UINT64_C(1) << nfs) - 1,
		.access_net = version >= 4 ? 3 : 0, /* TCP: bind, connect */
		.scoped = version >= 6 ? 3 : 0,     /* abstract sockets, signals */
	};
}

/* A directory that was not there before the mount grants nothing. */
static int grant(int rules, const char *path, uint64_t access)
{
	struct beneath rule = {.access = access, .fd = host_kept(path)};

	if (rule.fd < 0)
		return 0;
	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_PATH_BENEATH, &rule, 0u) < 0 ? -errno
											   : 0;
}

static int landlock_enter(const struct locked_in *in)
{
	struct ruleset rules = all_rights(landlock_version());
	long fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0u);
	int ret = 0;

	if (fd < 0)
		return -errno;
	for (const char *const *dir = in->readable; dir && *dir && ret == 0; dir++)
		ret = grant((int)fd, *dir, LANDLOCK_READ);
	if (ret == 0 && in->writable)
		ret = grant(
			(int)fd, in->writable, LANDLOCK_READ | (LANDLOCK_WRITE & rules.access_fs));
	if (ret == 0)
		ret = syscall(SYS_landlock_restrict_self, (int)fd, 0u) < 0 ? -errno : 0;
	close((int)fd);
	return ret;
}

/* What serving reads takes: libfuse's loop, threads and their end, memory, host files that are open
 * already, libblkid on a copy in memory, one line to syslog. */
static const int allowed[] = {
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_preadv,
	SYS_pwrite64,
	SYS_splice,
	SYS_copy_file_range,
	SYS_vmsplice,
	SYS_lseek,
	SYS_fstat,
	SYS_newfstatat,
	SYS_close,
	SYS_fcntl,
	SYS_dup3,
	SYS_pipe2,
	SYS_ppoll,
	SYS_memfd_create,
	SYS_ftruncate,
	SYS_fdatasync,
	SYS_fallocate,
	SYS_fadvise64,
	SYS_sendto,
#ifdef SYS_poll
	SYS_poll,
#endif
	SYS_brk,
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_mprotect,
	SYS_madvise,
	SYS_futex,
	SYS_clone,
	SYS_clone3,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_getpid,
	SYS_gettid,
	SYS_tgkill,
	SYS_exit,
	SYS_exit_group,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_restart_syscall,
	SYS_clock_gettime,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_gettimeofday,
	SYS_getrandom,
};

/* What finding and opening files takes besides. */
static const int allowed_to_open[] = {
	SYS_openat,
	SYS_openat2,
	SYS_getdents64,
	SYS_readlinkat,
	SYS_faccessat,
#ifdef SYS_faccessat2
	SYS_faccessat2,
#endif
#ifdef SYS_readlink
	SYS_readlink,
#endif
#ifdef SYS_statx
	SYS_statx,
#endif
	SYS_inotify_add_watch,
};

/* What taking away files takes that were made in vain. */
static const int allowed_to_write[] = {
	SYS_unlinkat,
#ifdef SYS_unlink
	SYS_unlink,
#endif
};

#define ALLOWED          (sizeof allowed / sizeof allowed[0])
#define ALLOWED_TO_OPEN  (sizeof allowed_to_open / sizeof allowed_to_open[0])
#define ALLOWED_TO_WRITE (sizeof allowed_to_write / sizeof allowed_to_write[0])
/* The architecture, the number, two for each call, the refusal. */
#define FILTER_MAX (3 + 1 + 2 * (ALLOWED + ALLOWED_TO_OPEN + ALLOWED_TO_WRITE) + 1)

static size_t filter_allow(struct sock_filter *f, size_t n, const int *calls, size_t ncalls)
{
	for (size_t i = 0; i < ncalls; i++) {
		f[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	return n;
}

static size_t filter_make(struct sock_filter *f, const struct locked_in *in)
{
	size_t n = 0;

	/* A call by another architecture's numbers is not what the list means. */
	f[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	n = filter_allow(f, n, allowed, ALLOWED);
	if (in->readable)
		n = filter_allow(f, n, allowed_to_open, ALLOWED_TO_OPEN);
	if (in->writable)
		n = filter_allow(f, n, allowed_to_write, ALLOWED_TO_WRITE);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	return n;
}

static int seccomp_enter(const struct locked_in *in)
{
	struct sock_filter filter[FILTER_MAX];
	struct sock_fprog program = {.filter = filter};

	program.len = (unsigned short)filter_make(filter, in);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &program) < 0 ? -errno : 0;
}

static bool seccomp_is_there(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return ARCH != 0 && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0u, &action) == 0;
}

bool sandbox_applies(enum sandbox_mode mode)
{
	return mode == SANDBOX_STRICT || (mode == SANDBOX_ON && !SANITIZED);
}

int sandbox_check(enum sandbox_mode mode, struct err *e)
{
	if (mode != SANDBOX_STRICT)
		return 0;
	if (SANITIZED)
		return err_set(
			e, ENOTSUP, "sandbox=strict: a build with sanitizers has no sandbox");
	if (landlock_version() < 1)
		return err_set(e, ENOTSUP, "sandbox=strict: the kernel has no Landlock");
	if (!seccomp_is_there())
		return err_set(e, ENOTSUP, "sandbox=strict: the kernel has no seccomp filters");
	return 0;
}

int sandbox_enter(enum sandbox_mode mode, const struct locked_in *in, struct err *e)
{
	int ret;

	if (!sandbox_applies(mode))
		return 0;
	/* No debugger, no core file with what a guest holds. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 && mode == SANDBOX_STRICT)
		return err_set(e, errno, "sandbox: no_new_privs: %s", strerror(errno));
	ret = landlock_version() < 1 ? -ENOSYS : landlock_enter(in);
	if (ret < 0 && mode == SANDBOX_STRICT)
		return err_set(e, -ret, "sandbox: Landlock: %s", strerror(-ret));
	ret = seccomp_is_there() ? seccomp_enter(in) : -ENOSYS;
	if (ret < 0 && mode == SANDBOX_STRICT)
		return err_set(e, -ret, "sandbox: seccomp: %s", strerror(-ret));
	return 0;
}
