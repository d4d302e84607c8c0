/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seccomp.c - see seccomp.h.
 *
 * Arguments are checked where they matter: no processes besides threads, no executable memory, no
 * datagrams to an address, no signals to other processes, messages only to servers.
 */
#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ops/passthrough.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define ARCH AUDIT_ARCH_S390X
#else
#define ARCH 0 /* untested: no filter */
#endif

/* For serving: the loop of libfuse, threads and their end, memory, open host files, libblkid on a
 * copy in memory, and syslog. */
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
#ifdef SYS_newfstatat
	SYS_newfstatat,
#endif
	SYS_close,
	SYS_dup3,
	SYS_pipe2,
	SYS_ppoll,
	SYS_memfd_create,
	SYS_ftruncate,
	SYS_fdatasync,
	SYS_fallocate,
	SYS_fadvise64,
#ifdef SYS_poll
	SYS_poll,
#endif
	SYS_brk,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_futex,
	SYS_set_robust_list,
#ifdef SYS_rseq
	SYS_rseq,
#endif
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_getpid,
	SYS_gettid,
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
#ifdef __i386__
	SYS__llseek,
	SYS_statx, /* fstat(3) */
	SYS_fstat64,
	SYS_fstatat64,
	SYS_ftruncate64,
	SYS_fadvise64_64,
	SYS_ppoll_time64,
	SYS_futex_time64,
	SYS_clock_gettime64,
	SYS_clock_nanosleep_time64,
	SYS_sigreturn,
#endif
};

/* For finding and opening files. */
static const int allowed_to_open[] = {
	SYS_getdents64,
	SYS_fstatfs,
#ifdef __i386__
	SYS_fstatfs64,
#endif
	SYS_readlinkat,
#ifdef SYS_statx
	SYS_statx,
#endif
	SYS_inotify_add_watch,
};

/* For creating, replacing and removing files. */
static const int allowed_to_write[] = {
	SYS_openat,
	SYS_renameat2,
	SYS_unlinkat,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CODE_MAX 400 /* instructions */

struct program {
	struct sock_filter code[CODE_MAX];
	unsigned short len;
};

static void emit(struct program *p, uint16_t op, uint32_t value, uint8_t yes, uint8_t no)
{
	if (p->len < CODE_MAX)
		p->code[p->len] = (struct sock_filter){op, yes, no, value};
	p->len++;
}

static void emit_load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(struct program *p, uint32_t what)
{
	emit(p, BPF_RET | BPF_K, what, 0, 0);
}

static void emit_deny(struct program *p)
{
	emit_return(p, SECCOMP_RET_ERRNO | EPERM);
}

/* Loads one half of an argument: filters work on 32 bits. */
static void emit_load_arg(struct program *p, unsigned i, bool high)
{
	size_t at = offsetof(struct seccomp_data, args) + i * sizeof(uint64_t);
	bool big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

	emit_load(p, at + (high != big_endian ? sizeof(uint32_t) : 0));
}

/* Skips the next n instructions for other calls than nr. */
static void emit_call(struct program *p, int nr, uint8_t n)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, n);
}

static void allow_calls(struct program *p, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		emit_call(p, calls[i], 1);
		emit_return(p, SECCOMP_RET_ALLOW);
	}
}

/* Allows the call if argument i has none of these bits. */
static void allow_without(struct program *p, int nr, unsigned i, uint32_t bits)
{
	emit_call(p, nr, 4);
	emit_load_arg(p, i, false);
	emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	emit_deny(p);
	emit_return(p, SECCOMP_RET_ALLOW);
}

/* Allows the call if argument i, an int, has one of these values. */
static void allow_with(struct program *p, int nr, unsigned i, const uint32_t *values, unsigned n)
{
	emit_call(p, nr, (uint8_t)(1 + 2 * n + 1));
	emit_load_arg(p, i, false);
	for (unsigned k = 0; k < n; k++) {
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, values[k], 0, 1);
		emit_return(p, SECCOMP_RET_ALLOW);
	}
	emit_deny(p);
}

/* Allows the call if argument i, a pointer, is NULL. */
static void allow_with_null(struct program *p, int nr, unsigned i)
{
	emit_call(p, nr, 6);
	emit_load_arg(p, i, false);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
	emit_load_arg(p, i, true);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	emit_return(p, SECCOMP_RET_ALLOW);
	emit_deny(p);
}

/* Flags that pthread_create(3) needs, and may use.  Others would create a process or a name space.
 */
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define THREAD_MAY                                                                                 \
	(THREAD | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED)

/* A filter cannot read the flags of clone3, which are in memory; ENOSYS makes the C library use
 * clone. */
static void allow_threads(struct program *p)
{
#ifdef __s390x__
	unsigned flags = 1;
#else
	unsigned flags = 0;
#endif

#ifdef SYS_clone3
	emit_call(p, SYS_clone3, 1);
	emit_return(p, SECCOMP_RET_ERRNO | ENOSYS);
#endif
	emit_call(p, SYS_clone, 6);
	emit_load_arg(p, flags, false);
	emit(p, BPF_JMP | BPF_JSET | BPF_K, ~(uint32_t)THREAD_MAY, 3, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, THREAD, 0, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, THREAD, 0, 1);
	emit_return(p, SECCOMP_RET_ALLOW);
	emit_deny(p);
}

static void allow_memory(struct program *p)
{
#if defined(__i386__)
	allow_without(p, SYS_mmap2, 2, PROT_EXEC);
#elif defined(__s390x__)
	/* All its arguments are in memory, where a filter cannot read them. */
	allow_calls(p, (const int[]){SYS_mmap}, 1);
#else
	allow_without(p, SYS_mmap, 2, PROT_EXEC);
#endif
	allow_without(p, SYS_mprotect, 2, PROT_EXEC);
}

/* For syslog, whose socket is connected. */
static void allow_send(struct program *p)
{
	allow_with_null(p, SYS_sendto, 4);
}

/* For NBD servers, whose sockets are connected; TLS sends by sendmsg. */
static void allow_servers(struct program *p, const uint32_t *sockets, unsigned n)
{
	static const int calls[] = {SYS_recvfrom, SYS_sendmsg, SYS_shutdown};

	for (size_t i = 0; i < COUNT(calls) && n > 0; i++)
		allow_with(p, calls[i], 0, sockets, n);
}

#ifdef __i386__
/* The arguments of socketcall are in memory.  The numbers, of linux/net.h, have no address: send;
 * and with servers recv, shutdown and sendmsg, which could have one. */
static void allow_socketcall(struct program *p, bool servers)
{
	static const uint32_t numbers[] = {9, 10, 13, 16};

	allow_with(p, SYS_socketcall, 0, numbers, servers ? COUNT(numbers) : 1);
}
#endif

static void allow_descriptor_flags(struct program *p)
{
	/* Locks, pipe sizes and flags, but not F_SETOWN, which sends signals to other processes. */
	static const uint32_t commands[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC,
		F_OFD_GETLK, F_OFD_SETLK, F_GETPIPE_SZ, F_SETPIPE_SZ};

#ifdef __i386__
	allow_with(p, SYS_fcntl64, 1, commands, COUNT(commands));
#else
	allow_with(p, SYS_fcntl, 1, commands, COUNT(commands));
#endif
}

static void build(struct program *p, const struct seccomp_rights *rights)
{
	enum seccomp_files files = rights->files;
	static const uint32_t requests[] = {FUSE_DEV_IOC_BACKING_OPEN, FUSE_DEV_IOC_BACKING_CLOSE};
	const uint32_t self = (uint32_t)getpid();

	/* Numbers of calls differ between architectures. */
	emit_load(p, offsetof(struct seccomp_data, arch));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	emit_return(p, SECCOMP_RET_KILL_PROCESS);
	emit_load(p, offsetof(struct seccomp_data, nr));
	allow_calls(p, allowed, COUNT(allowed));
	allow_threads(p);
	allow_memory(p);
	allow_descriptor_flags(p);
	allow_with(p, SYS_ioctl, 1, requests, COUNT(requests));
	allow_with(p, SYS_tgkill, 0, &self, 1);
	allow_send(p);
	allow_servers(p, rights->sockets, rights->nsockets);
#ifdef __i386__
	allow_socketcall(p, rights->nsockets > 0);
#endif
	if (files != SECCOMP_NO_FILES)
		allow_calls(p, allowed_to_open, COUNT(allowed_to_open));
	if (files == SECCOMP_WRITES)
		allow_calls(p, allowed_to_write, COUNT(allowed_to_write));
	else if (files == SECCOMP_OPENS)
		allow_without(p, SYS_openat, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND);
	emit_deny(p);
}

int seccomp_enter(const struct seccomp_rights *rights)
{
	struct program p = {.len = 0};
	struct sock_fprog program = {.filter = p.code};

	build(&p, rights);
	if (p.len > CODE_MAX)
		return -E2BIG;
	program.len = p.len;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &program) < 0 ? -errno : 0;
}

bool seccomp_is_supported(void)
{
	return ARCH != 0;
}

bool seccomp_is_there(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return ARCH != 0 && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0u, &action) == 0;
}
