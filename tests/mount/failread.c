/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* failread.so - a bad range on the host's disk, by LD_PRELOAD.
 *
 * FAILREAD_FILE names the file; the first line of FAILREAD_SPOT is the range, "START END".  It may
 * be rewritten at any time by one write of the same length; END 0 is no range.  Reads and splices
 * of the file behave like those of a disk: one that starts in the range fails with EIO, one that
 * starts before it is short.  Passthrough is refused, with which the kernel would read the file. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define RANGE_LEN 64

/* Set by the constructor, before main. */
static const char *range_text;
static dev_t bad_dev;
static ino64_t bad_ino;

__attribute__((constructor)) static void map_range(void)
{
	const char *file = getenv("FAILREAD_FILE"), *spot = getenv("FAILREAD_SPOT");
	int fd = spot ? open(spot, O_RDONLY | O_CLOEXEC) : -1;
	struct stat64 st;
	void *p;

	if (fd < 0 || !file || stat64(file, &st) < 0)
		return;
	p = mmap(NULL, RANGE_LEN, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return;
	bad_dev = st.st_dev;
	bad_ino = st.st_ino;
	range_text = p;
}

/* Returns how many bytes from pos on can be read; -1 if pos is in the bad range. */
static ssize_t readable(int fd, size_t len, off64_t pos)
{
	char text[RANGE_LEN];
	long long start, end;
	struct stat64 st;

	if (!range_text || fstat64(fd, &st) < 0 || st.st_dev != bad_dev || st.st_ino != bad_ino)
		return len;
	memcpy(text, range_text, sizeof text - 1);
	text[sizeof text - 1] = '\0';
	if (sscanf(text, "%lld %lld", &start, &end) != 2 || pos >= end)
		return len;
	if (pos >= start) {
		errno = EIO;
		return -1;
	}
	return (long long)len < start - pos ? (ssize_t)len : start - pos;
}

/* The product is built with 64-bit offsets everywhere, libraries need not be. */
#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t pread64(int fd, void *buf, size_t len, off64_t pos)
{
	ssize_t n = readable(fd, len, pos);

	return n < 0 ? -1 : REAL(pread64)(fd, buf, n, pos);
}

ssize_t pread(int fd, void *buf, size_t len, off_t pos)
{
	return pread64(fd, buf, len, pos);
}

/* Fails if any of the range is bad: a short read would be taken for the end of the file. */
ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t pos)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (readable(fd, len, pos) != (ssize_t)len) {
		errno = EIO;
		return -1;
	}
	return REAL(preadv64)(fd, iov, n, pos);
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t pos)
{
	return preadv64(fd, iov, n, pos);
}

ssize_t splice(int in, off64_t *in_pos, int out, off64_t *out_pos, size_t len, unsigned flags)
{
	ssize_t n = in_pos ? readable(in, len, *in_pos) : (ssize_t)len;

	return n < 0 ? -1 : REAL(splice)(in, in_pos, out, out_pos, n, flags);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (_IOC_TYPE(request) == 229) { /* of /dev/fuse: FUSE_DEV_IOC_BACKING_OPEN */
		errno = EPERM;
		return -1;
	}
	if (!real)
		real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	return real(fd, request, arg);
}
