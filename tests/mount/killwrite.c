/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* killwrite.so - kills a program between two changes of files, by LD_PRELOAD.
 *
 * KILL_AT=N: before the N-th call that changes a file or a directory, the process sends
 * KILL_SIGNAL, a number, by default 9, to itself.  Nothing is random, so each N is one reproducible
 * state of the host. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned long kill_at;
static int kill_signal = SIGKILL;
static atomic_ulong calls;

__attribute__((constructor)) static void read_environment(void)
{
	const char *at = getenv("KILL_AT"), *number = getenv("KILL_SIGNAL");

	kill_at = at ? strtoul(at, NULL, 10) : 0;
	if (number)
		kill_signal = atoi(number);
	/* Programs that this one starts are not killed. */
	unsetenv("KILL_AT");
}

static void count(void)
{
	if (atomic_fetch_add(&calls, 1) + 1 == kill_at)
		raise(kill_signal);
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t pos)
{
	count();
	return REAL(pwrite64)(fd, buf, len, pos);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t pos)
{
	count();
	return REAL(pwritev64)(fd, iov, n, pos);
}

ssize_t copy_file_range(
	int in, off64_t *in_pos, int out, off64_t *out_pos, size_t len, unsigned flags)
{
	count();
	return REAL(copy_file_range)(in, in_pos, out, out_pos, len, flags);
}

int ftruncate64(int fd, off64_t len)
{
	count();
	return REAL(ftruncate64)(fd, len);
}

int fallocate64(int fd, int mode, off64_t pos, off64_t len)
{
	count();
	return REAL(fallocate64)(fd, mode, pos, len);
}

int fdatasync(int fd)
{
	count();
	return REAL(fdatasync)(fd);
}

int unlink(const char *path)
{
	count();
	return REAL(unlink)(path);
}

int rename(const char *from, const char *to)
{
	count();
	return REAL(rename)(from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	count();
	return REAL(renameat2)(from_dir, from, to_dir, to, flags);
}
