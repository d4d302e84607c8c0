/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.c - everything that is common to all kinds of io: errors, changes, and the watch for other
 * programs that change the length of a file. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bytes.h"
#include "cache.h"
#include "util/err.h"
#include "io.h"

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
	pthread_mutex_init(&io->length_lock, NULL);
	return io;
}

void io_stand_for(struct io *io, const struct io *of)
{
	io->dev = of->dev;
	io->ino = of->ino;
	io->server = of->server;
	io->start = of->start;
	io->size = of->size;
	io->stored = of->stored;
	io->mtime = of->mtime;
	io->ctime = of->ctime;
	io->mode = of->mode;
	io->gid = of->gid;
	io->cache = of->cache;
}

uint64_t io_stored(const struct io *io)
{
	struct stat st;

	return io->writable && io->fd >= 0 && fstat(io->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512
								      : io->stored;
}

int io_make_writable(struct io *io, struct err *e)
{
	if (io->member)
		return err_set(e, ENOTSUP, "%s: in an archive nothing can be written", io->name);
	if (!io->ops->make_writable)
		return err_set(e, ENOTSUP, "%s: it cannot be written", io->name);
	return io->ops->make_writable(io, e);
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
	pthread_mutex_destroy(&io->length_lock);
	io->ops->close(io);
	free(name);
}

bool io_is_same(const struct io *a, const struct io *b)
{
	if (a == b)
		return true;
	if (a->start != b->start)
		return false;
	return a->server ? a->server == b->server : a->ino && a->dev == b->dev && a->ino == b->ino;
}

/* Changes by other programs. */

static bool length_differs(const struct io *io)
{
	uint64_t length;

	if (!io->ops->length)
		return false;
	length = io->ops->length(io);
	return io->writable ? length != io->size : length < io->size;
}

/* length_lock is held. */
static bool note_altered(struct io *io)
{
	if (io->altered || !length_differs(io))
		return io->altered;
	io->cut_from = io->size;
	io->cut_to = io->ops->length(io);
	io->altered = true;
	if (io->any_altered)
		*io->any_altered = true;
	return true;
}

static bool is_altered(struct io *io)
{
	bool altered = io->altered;

	/* Without the lock a change by this process may be under way. */
	if (altered || !length_differs(io))
		return altered;
	pthread_mutex_lock(&io->length_lock);
	altered = note_altered(io);
	pthread_mutex_unlock(&io->length_lock);
	return altered;
}

struct io *io_find_altered(struct io *io)
{
	if (io->ops->find_altered)
		return io->ops->find_altered(io);
	if (io->ops->check && io->ops->check(io, NULL) < 0)
		return io;
	return is_altered(io) ? io : NULL;
}

static int altered_error(struct io *io, struct err *e)
{
	err_set(e, EIO,
		"%s: another program has changed its length from %" PRIu64 " to %" PRIu64
		" bytes%s",
		io->name, io->cut_from, io->cut_to,
		io->writable ? "; nothing is written any more" : "");
	e->logged = &io->altered_logged;
	return -e->code;
}

int io_check(struct io *io, struct err *e)
{
	struct io *altered = io_find_altered(io);

	if (!altered)
		return 0;
	return altered->ops->check ? altered->ops->check(altered, e) : altered_error(altered, e);
}

/* Reading and writing. */

ssize_t io_read_some(struct io *io, void *buf, size_t len, uint64_t pos)
{
	if (io->altered)
		len = pos < io->cut_to ? MIN(len, io->cut_to - pos) : 0;
	return io->ops->read(io, buf, len, pos);
}

void io_fetch(struct io *io, uint64_t pos, uint64_t len)
{
	if (io->ops->fetch && pos < io->size)
		io->ops->fetch(io, pos, MIN(len, io->size - pos));
}

/* n: the result of a read of len bytes. */
static int read_failed(struct io *io, ssize_t n, size_t len, uint64_t pos, struct err *e)
{
	int r = io_check(io, e);

	if (r < 0)
		return r;
	if (n < 0)
		return err_set(e, EIO, "%s: reading %zu bytes at %" PRIu64 ": %s", io->name, len,
			pos, strerror(-n));
	return err_set(e, EIO, "%s: the file ends at %" PRIu64 ", %" PRIu64 " bytes were expected",
		io->name, pos + n, MAX(io->size, pos + len));
}

int io_read(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e)
{
	ssize_t n = io_read_some(io, buf, len, pos);

	return n == (ssize_t)len ? 0 : read_failed(io, n, len, pos, e);
}

int io_read_header(struct io *io, void *buf, size_t len, struct err *e)
{
	if (io->size < len)
		return err_set(e, EINVAL, "header truncated: the file has %" PRIu64 " bytes",
			(uint64_t)io->size);
	return io_read(io, buf, len, 0, e);
}

int io_read_padded(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e)
{
	size_t inside = pos < io->size ? MIN(len, io->size - pos) : 0;

	memset((char *)buf + inside, 0, len - inside);
	return inside > 0 ? io_read(io, buf, inside, pos, e) : 0;
}

/* The user can act on a full disk; every other error of the host is an I/O error to a guest. */
static int write_failed(struct io *io, const char *what, int r, struct err *e)
{
	int code = r == -ENOSPC || r == -EDQUOT || r == -EFBIG ? -r : EIO;

	if (code == EIO && io_check(io, e) < 0)
		return -e->code;
	return err_set(e, code, "%s: %s: %s", io->name, what, strerror(-r));
}

/* Before a change of the file.  One that changes its length holds length_lock until change_end. */
static int change_begin(struct io *io, bool length_too, struct err *e)
{
	bool altered;

	assert(io->writable);
	if (!length_too)
		return io_check(io, e);
	pthread_mutex_lock(&io->length_lock);
	altered = note_altered(io);
	if (!altered)
		return 0;
	pthread_mutex_unlock(&io->length_lock);
	return altered_error(io, e);
}

/* r: the result of the change, which may be done in part after a failure. */
static void change_end(struct io *io, bool length_too, int r, uint64_t size)
{
	/* After the change: a sync that came before it did not see it. */
	io->unsynced = true;
	if (!length_too)
		return;
	if (r == 0)
		io->size = size;
	else if (io->ops->length)
		io->size = io->ops->length(io);
	pthread_mutex_unlock(&io->length_lock);
}

int io_write(struct io *io, const void *buf, size_t len, uint64_t pos, struct err *e)
{
	bool grows = !range_fits(pos, len, io->size);
	int r = change_begin(io, grows, e);

	if (r < 0)
		return r;
	r = io->ops->write(io, buf, len, pos);
	change_end(io, grows, r, MAX(io->size, pos + len));
	return r < 0 ? write_failed(io, "writing", r, e) : 0;
}

int io_allocate(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	int r = io_check(io, e);

	if (r < 0)
		return r;
	r = io->ops->reserve ? io->ops->reserve(io, pos, len) : -EOPNOTSUPP;
	if (r == -EOPNOTSUPP)
		return err_set(e, EOPNOTSUPP, "%s: its file system cannot reserve space", io->name);
	return r < 0 ? write_failed(io, "reserving space", r, e) : 0;
}

int io_reserve(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	int r = io_allocate(io, pos, len, e);

	return r == -EOPNOTSUPP ? 0 : r;
}

#define COPY_STEP (1u << 20)

/* Copies by reading and writing. */
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

/* Lets the host copy some of len bytes: their number; 0: copy_bytes has to do it; -errno. */
static ssize_t copy_some(struct io *io, uint64_t pos, struct io *from, uint64_t from_pos,
	uint64_t len, struct err *e)
{
	bool grows = !range_fits(pos, len, io->size);
	ssize_t n;
	int r;

	if (!io->ops->copy || from->fd < 0 || from->altered)
		return 0;
	r = change_begin(io, grows, e);
	if (r < 0)
		return r;
	n = io->ops->copy(io, pos, from, from_pos, MIN(len, SSIZE_MAX));
	change_end(io, grows, MIN(n, 0), MAX(io->size, pos + MAX(n, 0)));
	/* copy_bytes meets the error again. */
	return MAX(n, 0);
}

int io_copy(struct io *io, uint64_t pos, struct io *from, uint64_t from_pos, uint64_t len,
	struct err *e)
{
	ssize_t n = 1;

	for (; len > 0 && n > 0; pos += n, from_pos += n, len -= n)
		n = copy_some(io, pos, from, from_pos, len, e);
	if (n < 0)
		return (int)n;
	return len > 0 ? copy_bytes(io, pos, from, from_pos, len, e) : 0;
}

int io_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	static const unsigned char zeroes[64u << 10];
	int r = change_begin(io, false, e);

	if (r < 0)
		return r;
	if (!range_fits(pos, len, io->size))
		return err_set(e, EUCLEAN,
			"%s: %" PRIu64 " bytes at %" PRIu64 " pass the end of the file, %" PRIu64,
			io->name, len, pos, (uint64_t)io->size);
	r = io->ops->punch ? io->ops->punch(io, pos, len) : -EOPNOTSUPP;
	change_end(io, false, r, 0);
	if (r < 0 && r != -EOPNOTSUPP)
		return write_failed(io, "making a hole", r, e);
	if (r == 0)
		return 0;
	r = 0;
	for (size_t n; r == 0 && len > 0; pos += n, len -= n) {
		n = MIN(len, sizeof zeroes);
		r = io_write(io, zeroes, n, pos, e);
	}
	return r;
}

void io_discard(struct io *io, uint64_t pos, uint64_t len)
{
	uint64_t size = io->size;

	assert(io->writable);
	if (pos >= size || is_altered(io))
		return;
	if (io->ops->discard)
		io->ops->discard(io, pos, MIN(len, size - pos));
	else if (io->ops->punch)
		io->ops->punch(io, pos, MIN(len, size - pos));
}

int io_resize(struct io *io, uint64_t size, struct err *e)
{
	int r = change_begin(io, true, e);

	if (r < 0)
		return r;
	r = io->ops->resize ? io->ops->resize(io, size) : -ENOTSUP;
	change_end(io, true, r, size);
	return r < 0 ? write_failed(io, "changing its size", r, e) : 0;
}

int io_sync(struct io *io, struct err *e)
{
	int r = io_check(io, e);

	/* This sync may miss a write from here on, which sets unsynced again. */
	if (r < 0 || io->nosync || !atomic_exchange(&io->unsynced, false))
		return r;
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

/* The position from which bytes were cut off, or the end: they are no hole, so that a read of them
 * fails. */
static uint64_t lost_from(struct io *io)
{
	const struct io *file = io_find_altered(io);
	uint64_t kept;

	if (!file || !file->ops->length)
		return io->size;
	kept = MIN(file->cut_to, file->ops->length(file));
	return kept > io->start ? MIN(kept - io->start, io->size) : 0;
}

uint64_t io_seek(struct io *io, uint64_t pos, int whence)
{
	bool data = whence == SEEK_DATA;
	uint64_t lost = io->size;
	int64_t found;

	if (pos >= io->size)
		return io->size;
	if (!io->sparse || !io->ops->seek)
		return data ? pos : io->size;
	found = io->ops->seek(io, pos, whence);
	if (found == -ENXIO || io->altered)
		lost = lost_from(io);
	if (!data)
		return found < 0 || pos >= lost ? io->size : MIN((uint64_t)found, io->size);
	if (found < 0)
		found = found == -ENXIO ? io->size : pos;
	return MIN((uint64_t)found, MAX(pos, lost));
}
