/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io-file.c - host files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io.h"

/* A host file.  The host walks all extents of a run of data to find its end: the last run is kept,
 * or a walk by extents would take quadratic time.  A hole that is punched in the run later is still
 * reported as data. */
struct file {
	struct io io;
	pthread_mutex_t lock;
	uint64_t run_start, run_end;
};

static ssize_t file_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(io->fd, (char *)buf + done, len - done, pos + done);

		if (n == 0)
			break;
		if (n > 0)
			done += n;
		else if (errno != EINTR)
			return -errno;
	}
	return done;
}

/* Linux cuts each request to the readahead of the device, of which this is the default. */
#define FETCH_MAX (128u << 10)

static void file_fetch(struct io *io, uint64_t pos, uint64_t len)
{
	for (uint64_t n; len > 0; pos += n, len -= n) {
		n = MIN(len, FETCH_MAX);
		posix_fadvise(io->fd, pos, n, POSIX_FADV_WILLNEED);
	}
}

/* The end of the kept run if pos lies in it, or 0. */
static uint64_t known_run(struct file *f, uint64_t pos)
{
	uint64_t end = 0;

	pthread_mutex_lock(&f->lock);
	if (f->run_start <= pos && pos < f->run_end)
		end = f->run_end;
	pthread_mutex_unlock(&f->lock);
	return end;
}

static void keep_run(struct file *f, uint64_t start, uint64_t end)
{
	pthread_mutex_lock(&f->lock);
	f->run_start = start;
	f->run_end = end;
	pthread_mutex_unlock(&f->lock);
}

static int64_t file_seek(struct io *io, uint64_t pos, int whence)
{
	struct file *f = (struct file *)io;
	uint64_t end = known_run(f, pos);
	off_t found;

	if (end > 0)
		return whence == SEEK_DATA ? pos : end;
	found = lseek(io->fd, pos, whence);
	if (found < 0)
		return -errno;
	if (whence == SEEK_HOLE && (uint64_t)found > pos)
		keep_run(f, pos, found);
	return found;
}

static int file_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(io->fd, (const char *)buf + done, len - done, pos + done);

		if (n > 0)
			done += n;
		else if (n == 0)
			return -EIO;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static ssize_t file_copy(
	struct io *io, uint64_t pos, const struct io *from, uint64_t from_pos, size_t len)
{
	loff_t in = from->start + from_pos, out = pos;
	ssize_t n = copy_file_range(from->fd, &in, io->fd, &out, len, 0);

	return n < 0 ? -errno : n;
}

static int file_sync(struct io *io)
{
	return fdatasync(io->fd) < 0 ? -errno : 0;
}

static int file_resize(struct io *io, uint64_t size)
{
	if (io->is_block && size > io->size)
		return -ENOSPC;
	return ftruncate(io->fd, size) < 0 ? -errno : 0;
}

static int file_punch(struct io *io, uint64_t pos, uint64_t len)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (fallocate(io->fd, mode, pos, len) < 0)
		return errno == ENODEV || errno == ENOSYS ? -EOPNOTSUPP : -errno;
	io->sparse = true;
	keep_run((struct file *)io, 0, 0);
	return 0;
}

/* The space of a device is always reserved. */
static int file_reserve(struct io *io, uint64_t pos, uint64_t len)
{
	if (io->is_block || fallocate(io->fd, FALLOC_FL_KEEP_SIZE, pos, len) == 0)
		return 0;
	return errno == ENOSPC || errno == EDQUOT ? -errno : -EOPNOTSUPP;
}

/* The file position is not used otherwise.  fstat takes twice the time, and makes NFS write back
 * first. */
static uint64_t file_length(const struct io *io)
{
	off_t end = io->is_block ? -1 : lseek(io->fd, 0, SEEK_END);

	return end < 0 ? io->size : (uint64_t)end;
}

static int file_make_writable(struct io *io, struct err *e)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", io->fd);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || dup3(fd, io->fd, O_CLOEXEC) < 0) {
		err_set(e, errno, "%s: opening it for writing: %s", io->name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -e->code;
	}
	close(fd);
	io->writable = true;
	/* A file that is written to can get holes. */
	io->sparse = !io->is_block;
	return 0;
}

static void file_close(struct io *io)
{
	struct file *f = (struct file *)io;

	close(io->fd);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct io_ops file_ops = {
	.read = file_read,
	.seek = file_seek,
	.fetch = file_fetch,
	.make_writable = file_make_writable,
	.write = file_write,
	.copy = file_copy,
	.sync = file_sync,
	.resize = file_resize,
	.punch = file_punch,
	.reserve = file_reserve,
	.length = file_length,
	.close = file_close,
};

static const char *kind_of_file(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	default:
		return "a special file";
	}
}

/* Only an attempt tells; nobody else uses the descriptor yet, so that none of its reads is direct.
 */
static bool has_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return fcntl(fd, F_SETFL, flags | O_DIRECT) == 0 && fcntl(fd, F_SETFL, flags) == 0;
}

/* Sets the fields that fstat and the device have; io->fd is open. */
static int file_describe(struct io *io, struct err *e)
{
	uint64_t device_size;
	struct stat st;

	if (fstat(io->fd, &st) < 0)
		return err_set(e, errno, "%s: %s", io->name, strerror(errno));
	io->dev = st.st_dev;
	io->ino = st.st_ino;
	io->mtime = st.st_mtim;
	io->ctime = st.st_ctim;
	io->mode = st.st_mode;
	io->gid = st.st_gid;
	io->stored = (uint64_t)st.st_blocks * 512;
	io->size = st.st_size;
	io->sparse = io->stored < io->size;
	io->direct = S_ISREG(st.st_mode) && has_direct(io->fd);
	if (S_ISREG(st.st_mode))
		return 0;
	if (!S_ISBLK(st.st_mode))
		return err_set(
			e, EINVAL, "%s: %s, not a disk image", io->name, kind_of_file(st.st_mode));
	if (ioctl(io->fd, BLKGETSIZE64, &device_size) < 0)
		return err_set(e, errno, "%s: size of the device: %s", io->name, strerror(errno));
	io->size = device_size;
	io->sparse = false;
	io->is_block = true;
	return 0;
}

struct io *io_from_fd(int fd, const char *name, struct err *e)
{
	struct file *f = io_new(sizeof *f, &file_ops, name, e);
	struct io *io = &f->io;

	if (!f) {
		close(fd);
		return NULL;
	}
	pthread_mutex_init(&f->lock, NULL);
	io->fd = fd;
	if (file_describe(io, e) < 0) {
		io_unref(io);
		return NULL;
	}
	return io;
}

struct io *io_open(const char *path, struct err *e)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		err_set(e, errno, "%s: %s", path, strerror(errno));
		return NULL;
	}
	return io_from_fd(fd, path, e);
}
