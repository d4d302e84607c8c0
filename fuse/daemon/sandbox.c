/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox.c - see sandbox.h.
 *
 * Landlock denies all access by name except below the given directories; seccomp denies all system
 * calls that are not on a list.  The Landlock structures are defined here, since the header of the
 * build host may be older than the kernel.
 */
#include "sandbox.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/err.h"
#include "io/host.h"
#include "seccomp.h"

/* Sanitizers open files and read /proc at any time. */
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

/* struct landlock_ruleset_attr as of Landlock ABI 6.  Older kernels accept it if the members that
 * they do not know are 0. */
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
#define LANDLOCK_READ_FILE    (UINT64_C(1) << 2)
#define LANDLOCK_READ         (LANDLOCK_READ_FILE | UINT64_C(1) << 3) /* files, directories */
/* Write, truncate, remove and create files. */
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

/* Permits access to an open file, or below an open directory.  fd -1: to none, as a directory did
 * not exist before the mount. */
static int allow(int rules, int fd, uint64_t access)
{
	struct beneath rule = {.access = access, .fd = fd};

	if (fd < 0)
		return 0;
	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_PATH_BENEATH, &rule, 0u) < 0 ? -errno
											   : 0;
}

static int landlock_enter(const struct locked_in *in)
{
	/* All rights that the version of Landlock can deny. */
	int version = landlock_version();
	unsigned nfs = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;
	struct ruleset rules = {
		.access_fs = (UINT64_C(1) << nfs) - 1,
		.access_net = version >= 4 ? 3 : 0, /* TCP: bind, connect */
		.scoped = version >= 6 ? 3 : 0,     /* abstract sockets, signals */
	};
	long fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0u);
	int ret = 0;

	if (fd < 0)
		return -errno;
	for (const char *const *dir = in->readable; dir && *dir && ret == 0; dir++)
		ret = allow((int)fd, host_kept(*dir), LANDLOCK_READ);
	for (size_t i = 0; i < in->nfiles && ret == 0; i++)
		ret = allow((int)fd, in->files[i], LANDLOCK_READ_FILE);
	if (ret == 0 && in->writable)
		ret = allow((int)fd, host_kept(in->writable),
			LANDLOCK_READ | (LANDLOCK_WRITE & rules.access_fs));
	if (ret == 0)
		ret = syscall(SYS_landlock_restrict_self, (int)fd, 0u) < 0 ? -errno : 0;
	close((int)fd);
	return ret;
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
	if (!seccomp_is_supported())
		return err_set(e, ENOTSUP,
			"sandbox=strict: there is no seccomp filter for this architecture");
	if (!seccomp_is_there())
		return err_set(e, ENOTSUP, "sandbox=strict: the kernel has no seccomp filters");
	return 0;
}

int sandbox_enter(enum sandbox_mode mode, const struct locked_in *in, struct err *e)
{
	const struct seccomp_rights rights = {
		.files = in->writable   ? SECCOMP_WRITES
			 : in->readable ? SECCOMP_OPENS
					: SECCOMP_NO_FILES,
		.sockets = in->sockets,
		.nsockets = in->nsockets,
	};
	int ret;

	if (!sandbox_applies(mode))
		return 0;
	/* Denies debuggers and core files, which would give access to data of guests. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 && mode == SANDBOX_STRICT)
		return err_set(e, errno, "sandbox: no_new_privs: %s", strerror(errno));
	ret = landlock_version() < 1 ? -ENOSYS : landlock_enter(in);
	if (ret < 0 && mode == SANDBOX_STRICT)
		return err_set(e, -ret, "sandbox: Landlock: %s", strerror(-ret));
	ret = seccomp_is_there() ? seccomp_enter(&rights) : -ENOSYS;
	if (ret < 0 && mode == SANDBOX_STRICT)
		return err_set(e, -ret, "sandbox: seccomp: %s", strerror(-ret));
	return 0;
}
