/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "job.h"

const char *mount_dir, *host_dir;
atomic_bool over;
atomic_int faults;

void fault(const struct job *j, const char *fmt, ...)
{
	va_list ap;

	if (atomic_fetch_add(&faults, 1) == 0) {
		fprintf(stderr, "stress: %s (%s): ", j->name, j->image);
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fputc('\n', stderr);
	}
	atomic_store(&over, true);
}

uint32_t random_below(struct job *j, uint32_t n)
{
	j->random ^= j->random << 13;
	j->random ^= j->random >> 7;
	j->random ^= j->random << 17;
	return (uint32_t)(j->random >> 16) % n;
}

const char *path_to(char *buf, const char *dir, const char *image, const char *file)
{
	snprintf(buf, PATH_MAX, "%s/%s%s%s", dir, image, file[0] ? "/" : "", file);
	return buf;
}

/* Fills a block with the pattern of a job, a block number and a version. */
void fill(unsigned char *block, unsigned job, unsigned no, uint32_t version)
{
	uint64_t words[BLOCK / 8];

	for (unsigned i = 0; i < BLOCK / 8; i++)
		words[i] = version ? ((uint64_t)job << 56 | (uint64_t)no << 32 | version) + i : 0;
	memcpy(block, words, BLOCK);
}

bool is_right(struct job *j, const unsigned char *bytes, unsigned start, unsigned n)
{
	unsigned char block[BLOCK];

	for (unsigned i = 0; i < n; i++) {
		fill(block, j->no, start + i, j->versions[start + i]);
		if (memcmp(bytes + (size_t)i * BLOCK, block, BLOCK) == 0)
			continue;
		fault(j, "block %u is not as written (version %u)", start + i,
			j->versions[start + i]);
		return false;
	}
	return true;
}

/* Files on the mount. */

/* Errors that pass: the image is in use by another job or is being replaced. */
bool is_transient(int code)
{
	return code == EBUSY || code == ESTALE || code == ENOENT || code == ETXTBSY;
}

int open_patiently(struct job *j, const char *dir, const char *image, int flags)
{
	char path[PATH_MAX];
	int fd;

	path_to(path, dir, image, "disk.raw");
	do
		fd = open(path, flags | O_CLOEXEC);
	while (fd < 0 && is_transient(errno) && !atomic_load(&over) && usleep(2000) == 0);
	if (fd < 0 && !atomic_load(&over))
		fault(j, "%s: %s", path, strerror(errno));
	return fd;
}

bool write_all(struct job *j, int fd, const void *bytes, size_t len, off_t pos)
{
	ssize_t n = pwrite(fd, bytes, len, pos);

	if (n != (ssize_t)len)
		fault(j, "write of %zu at %lld: %zd, %s", len, (long long)pos, n,
			n < 0 ? strerror(errno) : "short");
	return n == (ssize_t)len;
}

bool read_all(struct job *j, int fd, void *bytes, size_t len, off_t pos)
{
	ssize_t n = pread(fd, bytes, len, pos);

	if (n != (ssize_t)len)
		fault(j, "read of %zu at %lld: %zd, %s", len, (long long)pos, n,
			n < 0 ? strerror(errno) : "short");
	return n == (ssize_t)len;
}
