/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "io.h"

/* A host file.  To find the end of its data, the host walks all extents up to there: the run of
 * data that was found last is kept, or who asks extent by extent would wait for the square of them.
 * It is no promise: a hole that is made later is read as the data that it was. */
struct file {
	struct io io;
	pthread_mutex_t lock;
	uint64_t run_start, run_end;
};

void *io_new(size_t bytes, const struct io_ops *ops, const char *name, struct err *e)
{
	struct io *io = calloc(1, bytes);

	if (io)
		io->name = strdup(name);
	if (!io || !io->name) {
		free(io);
		err_nomem(e);
		return NULL;
	}
	io->ops = ops;
	io->fd = -1;
	io->refs = 1;
	return io;
}

void io_stand_for(struct io *io, const struct io *of)
{
	io->dev = of->dev;
	io->ino = of->ino;
	io->start = of->start;
	io->size = of->size;
	io->stored = of->stored;
	io->mtime = of->mtime;
	io->cache = of->cache;
}

struct io *io_ref(struct io *io)
{
	io->refs++;
	return io;
}

void io_unref(struct io *io)
{
	char *name;

	if (!io || --io->refs > 0)
		return;
	if (io->cache)
		cache_forget(io->cache, io);
	name = io->name;
	io->ops->close(io);
	free(name);
}

/* Host files. */

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

/* The end of the run that pos lies in, 0: not in the one that is known. */
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
	return ftruncate(io->fd, size) < 0 ? -errno : 0;
}

static int file_punch(struct io *io, uint64_t pos, uint64_t len)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (fallocate(io->fd, mode, pos, len) < 0)
		return errno == ENODEV || errno == ENOSYS ? -EOPNOTSUPP : -errno;
	io->sparse = true;
	/* What is known of the data is known no more. */
	keep_run((struct file *)io, 0, 0);
	return 0;
}

/* File systems that cannot do it do not promise anything. */
static int file_reserve(struct io *io, uint64_t pos, uint64_t len)
{
	if (fallocate(io->fd, FALLOC_FL_KEEP_SIZE, pos, len) == 0)
		return 0;
	return errno == ENOSPC || errno == EDQUOT ? -errno : 0;
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
	.write = file_write,
	.copy = file_copy,
	.sync = file_sync,
	.resize = file_resize,
	.punch = file_punch,
	.reserve = file_reserve,
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

static int block_device_size(struct io *io, struct err *e)
{
	uint64_t size;

	if (ioctl(io->fd, BLKGETSIZE64, &size) < 0)
		return err_set(e, errno, "%s: size of the device: %s", io->name, strerror(errno));
	io->size = size;
	io->is_block = true;
	return 0;
}

/* Reads what fstat tells; the descriptor is in place. */
static int file_describe(struct io *io, struct err *e)
{
	struct stat st;

	if (fstat(io->fd, &st) < 0)
		return err_set(e, errno, "%s: %s", io->name, strerror(errno));
	io->dev = st.st_dev;
	io->ino = st.st_ino;
	io->mtime = st.st_mtim;
	io->stored = (uint64_t)st.st_blocks * 512;
	io->size = st.st_size;
	io->sparse = io->stored < io->size;
	if (S_ISBLK(st.st_mode)) {
		io->sparse = false;
		return block_device_size(io, e);
	}
	if (!S_ISREG(st.st_mode))
		return err_set(
			e, EINVAL, "%s: %s, not a disk image", io->name, kind_of_file(st.st_mode));
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

int io_make_writable(struct io *io, struct err *e)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", io->fd);
	fd = io->member ? -1 : open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (io->member)
		return err_set(e, ENOTSUP, "%s: in an archive nothing can be written", io->name);
	if (fd < 0 || dup3(fd, io->fd, O_CLOEXEC) < 0) {
		err_set(e, errno, "%s: opening it for writing: %s", io->name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -e->code;
	}
	close(fd);
	io->writable = true;
	/* Holes come and go. */
	io->sparse = !io->is_block;
	return 0;
}

/* A device keeps its size, and so does what is no file. */
static uint64_t size_now(const struct io *io)
{
	struct stat st;

	if (io->fd < 0 || io->is_block)
		return io->size;
	if (fstat(io->fd, &st) < 0 || (uint64_t)st.st_size < io->start)
		return 0;
	return st.st_size - io->start;
}

bool io_was_cut(const struct io *io)
{
	return size_now(io) < io->size;
}

/* Memory. */

struct memory {
	struct io io;
	const unsigned char *data;
};

static ssize_t memory_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	const struct memory *m = (const struct memory *)io;

	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	memcpy(buf, m->data + pos, len);
	return len;
}

static void memory_close(struct io *io)
{
	free(io);
}

static const struct io_ops memory_ops = {.read = memory_read, .close = memory_close};

struct io *io_from_memory(const void *data, size_t len, const char *name, struct err *e)
{
	struct memory *m = io_new(sizeof *m, &memory_ops, name, e);

	if (!m)
		return NULL;
	m->io.size = len;
	m->io.stored = len;
	m->data = data;
	return &m->io;
}

/* Members of archives. */

struct slice {
	struct io io;
	struct io *archive;
	uint64_t pos;
};

static ssize_t slice_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	const struct slice *s = (const struct slice *)io;

	if (pos >= io->size)
		return 0;
	return s->archive->ops->read(s->archive, buf, MIN(len, io->size - pos), s->pos + pos);
}

static int64_t slice_seek(struct io *io, uint64_t pos, int whence)
{
	const struct slice *s = (const struct slice *)io;
	int64_t found = s->archive->ops->seek(s->archive, s->pos + pos, whence);

	return found < 0 ? found : found - (int64_t)s->pos;
}

static void slice_close(struct io *io)
{
	struct slice *s = (struct slice *)io;

	io_unref(s->archive);
	free(s);
}

static const struct io_ops slice_ops = {
	.read = slice_read,
	.seek = slice_seek,
	.close = slice_close,
};

struct io *io_slice(
	struct io *archive, uint64_t pos, uint64_t len, const char *member, struct err *e)
{
	struct slice *s = NULL;
	char *name;

	assert(range_fits(pos, len, archive->size));
	if (asprintf(&name, "%s:%s", archive->name, member) < 0) {
		err_nomem(e);
		return NULL;
	}
	s = io_new(sizeof *s, &slice_ops, name, e);
	free(name);
	if (!s)
		return NULL;
	io_stand_for(&s->io, archive);
	s->archive = io_ref(archive);
	s->pos = pos;
	s->io.member = s->io.name + strlen(archive->name) + 1;
	s->io.fd = archive->fd;
	s->io.start += pos;
	s->io.size = len;
	/* How much of a sparse archive is whose is not worth a walk over its holes. */
	s->io.stored = MIN(len, archive->stored);
	s->io.sparse = archive->sparse && archive->ops->seek;
	s->io.is_block = archive->is_block;
	return &s->io;
}

bool io_is_same(const struct io *a, const struct io *b)
{
	return a == b || (a->ino && a->dev == b->dev && a->ino == b->ino && a->start == b->start);
}

/* Whatever is behind. */

int io_read(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e)
{
	ssize_t n = io->ops->read(io, buf, len, pos);

	if (n == (ssize_t)len)
		return 0;
	if (n < 0)
		return err_set(e, EIO, "%s: reading %zu bytes at %" PRIu64 ": %s", io->name, len,
			pos, strerror(-n));
	return err_set(e, EIO, "%s: the file ends at %" PRIu64 ", %" PRIu64 " bytes were expected",
		io->name, pos + n, MAX(io->size, pos + len));
}

int io_read_padded(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e)
{
	size_t inside = pos < io->size ? MIN(len, io->size - pos) : 0;

	memset((char *)buf + inside, 0, len - inside);
	return inside > 0 ? io_read(io, buf, inside, pos, e) : 0;
}

/* A full disk is the user's to know; what else the host says is an I/O error to a guest. */
static int write_failed(struct io *io, const char *what, int r, struct err *e)
{
	int code = r == -ENOSPC || r == -EDQUOT || r == -EFBIG ? -r : EIO;

	return err_set(e, code, "%s: %s: %s", io->name, what, strerror(-r));
}

/* Several may write behind the end at a time. */
static void grow_to(struct io *io, uint64_t end)
{
	uint64_t size = io->size;

	while (size < end && !atomic_compare_exchange_weak(&io->size, &size, end))
		;
}

int io_write(struct io *io, const void *buf, size_t len, uint64_t pos, struct err *e)
{
	int r;

	assert(io->writable);
	r = io->ops->write(io, buf, len, pos);
	/* After the write: a sync that came before it did not see it.  Also of one that failed, for
	 * a part of it may be there. */
	io->unsynced = true;
	if (r < 0)
		return write_failed(io, "writing", r, e);
	grow_to(io, pos + len);
	return 0;
}

int io_reserve(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	int r = io->ops->reserve ? io->ops->reserve(io, pos, len) : 0;

	return r < 0 ? write_failed(io, "making room", r, e) : 0;
}

#define COPY_STEP (1u << 20)

/* By hand. */
static int copy_bytes(struct io *io, uint64_t pos, struct io *from, uint64_t from_pos, uint64_t len,
	struct err *e)
{
	void *buf = malloc(MIN(len, COPY_STEP));
	int r = buf ? 0 : err_nomem(e);

	for (size_t n; r == 0 && len > 0; pos += n, from_pos += n, len -= n) {
		n = MIN(len, COPY_STEP);
		r = io_read(from, buf, n, from_pos, e);
		if (r == 0)
			r = io_write(io, buf, n, pos, e);
	}
	free(buf);
	return r;
}

int io_copy(struct io *io, uint64_t pos, struct io *from, uint64_t from_pos, uint64_t len,
	struct err *e)
{
	ssize_t n = 1;

	assert(io->writable);
	for (; len > 0 && n > 0; pos += n, from_pos += n, len -= n) {
		n = io->ops->copy && from->fd >= 0 ? io->ops->copy(io, pos, from, from_pos, len)
						   : 0;
		if (n <= 0)
			break;
		io->unsynced = true;
		grow_to(io, pos + n);
	}
	/* Why it did not go on shows there. */
	return len > 0 ? copy_bytes(io, pos, from, from_pos, len, e) : 0;
}

static int write_zeroes(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	static const unsigned char zeroes[64u << 10];
	int r = 0;

	for (size_t n; r == 0 && len > 0; pos += n, len -= n) {
		n = MIN(len, sizeof zeroes);
		r = io_write(io, zeroes, n, pos, e);
	}
	return r;
}

int io_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	int r = io->ops->punch ? io->ops->punch(io, pos, len) : -EOPNOTSUPP;

	assert(io->writable && range_fits(pos, len, io->size));
	io->unsynced = true;
	if (r == -EOPNOTSUPP)
		return write_zeroes(io, pos, len, e);
	return r < 0 ? write_failed(io, "making a hole", r, e) : 0;
}

void io_discard(struct io *io, uint64_t pos, uint64_t len)
{
	assert(io->writable && range_fits(pos, len, io->size));
	if (io->ops->punch)
		io->ops->punch(io, pos, len);
}

int io_resize(struct io *io, uint64_t size, struct err *e)
{
	int r;

	assert(io->writable);
	r = io->ops->resize ? io->ops->resize(io, size) : -ENOTSUP;
	io->unsynced = true;
	if (r < 0)
		return write_failed(io, "changing its size", r, e);
	io->size = size;
	return 0;
}

int io_sync(struct io *io, struct err *e)
{
	int r;

	/* What is written from here on may be missed by this sync, and says so again. */
	if (io->nosync || !atomic_exchange(&io->unsynced, false))
		return 0;
	r = io->ops->sync(io);
	return r < 0 ? write_failed(io, "sync", r, e) : 0;
}

int io_read_text(struct io *io, uint64_t max, char **text, struct err *e)
{
	int r;

	if (io->size > max)
		return err_set(e, EINVAL, "%s: %" PRIu64 " bytes of text, more than %" PRIu64,
			io->name, io->size, max);
	*text = malloc(io->size + 1);
	if (!*text)
		return err_nomem(e);
	(*text)[io->size] = '\0';
	r = io_read(io, *text, io->size, 0, e);
	if (r < 0)
		free(*text);
	return r;
}

uint64_t io_seek(struct io *io, uint64_t pos, int whence)
{
	int64_t found;

	if (pos >= io->size)
		return io->size;
	if (!io->sparse || !io->ops->seek)
		return whence == SEEK_DATA ? pos : io->size;
	found = io->ops->seek(io, pos, whence);
	/* No data follows, but what was cut off is no hole: reading it must meet the error. */
	if (found == -ENXIO)
		return whence == SEEK_DATA ? MIN(MAX(pos, size_now(io)), io->size) : io->size;
	if (found < 0)
		return whence == SEEK_DATA ? pos : io->size;
	return MIN((uint64_t)found, io->size);
}
