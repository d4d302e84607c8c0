/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "image.h"
#include "io.h"

static int failed(const struct output *o, struct err *e)
{
	return err_set(e, errno, "%s: %s", o->name, strerror(errno));
}

int output_open(struct output *o, const char *name, uint64_t size, struct err *e)
{
	int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	*o = (struct output){.name = name, .size = size};
	o->fd = open(name, flags);
	if (o->fd < 0 && errno == ENOENT) {
		o->fd = open(name, flags | O_CREAT | O_EXCL, 0666);
		o->is_made = o->fd >= 0;
	}
	return o->fd < 0 ? failed(o, e) : 0;
}

bool output_is_of(const struct output *o, const struct image *img)
{
	struct stat st;

	if (fstat(o->fd, &st) < 0)
		return true;
	for (; img; img = img->parent)
		if (img->io->dev == st.st_dev && img->io->ino == st.st_ino)
			return true;
	return false;
}

static int check_device(struct output *o, struct err *e)
{
	uint64_t room;

	if (ioctl(o->fd, BLKGETSIZE64, &room) < 0)
		return failed(o, e);
	if (room < o->size)
		return err_set(e, ENOSPC, "%s: the device has %" PRIu64 " bytes, not %" PRIu64,
			o->name, room, o->size);
	return 0;
}

int output_begin(struct output *o, bool keep, struct err *e)
{
	struct stat st;

	if (fstat(o->fd, &st) < 0)
		return failed(o, e);
	if (S_ISBLK(st.st_mode))
		return check_device(o, e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s: neither a file nor a block device", o->name);
	if (keep && (uint64_t)st.st_size < o->size)
		return err_set(e, ENOSPC, "%s: the file has %" PRIu64 " bytes, not %" PRIu64,
			o->name, (uint64_t)st.st_size, o->size);
	if (keep)
		return 0;
	if (ftruncate(o->fd, 0) < 0 || ftruncate(o->fd, o->size) < 0)
		return failed(o, e);
	o->reads_zero = true;
	return 0;
}

int output_write(const struct output *o, const void *buf, size_t len, uint64_t pos, struct err *e)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(o->fd, p, len, pos);

		if (n < 0 && errno != EINTR)
			return failed(o, e);
		if (n > 0) {
			p += n;
			pos += n;
			len -= n;
		}
	}
	return 0;
}

static int write_zeroes(const struct output *o, uint64_t pos, uint64_t len, struct err *e)
{
	static const char zeroes[256u << 10];
	int r = 0;

	for (size_t n; r == 0 && len > 0; pos += n, len -= n) {
		n = MIN(len, sizeof zeroes);
		r = output_write(o, zeroes, n, pos, e);
	}
	return r;
}

int output_zero(const struct output *o, uint64_t pos, uint64_t len, struct err *e)
{
	if (o->reads_zero || len == 0)
		return 0;
	/* On a device, too: what comes after is zeroes by the kernel's word, however it does it. */
	if (fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len) == 0)
		return 0;
	return write_zeroes(o, pos, len, e);
}

int output_end(struct output *o, bool complete, struct err *e)
{
	int r = 0;

	/* Some file systems tell only now that there was no room. */
	if (close(o->fd) < 0 && complete)
		r = failed(o, e);
	if (o->is_made && (!complete || r < 0))
		unlink(o->name);
	return r;
}
