/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbd-io.c - an export as a host file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ahead.h"
#include "extents.h"
#include "io/io.h"
#include "nbd.h"
#include "server.h"
#include "util/bytes.h"
#include "util/err.h"

/* Fetched at most: half of what can be read ahead, so that another reader has the rest. */
#define FETCH_MAX (AHEAD_BLOCKS / 2 * AHEAD_BLOCK)

/* Taken for data when extents change faster than the server tells them. */
#define UNKNOWN (1u << 20)

/* Extents that one seek passes, of up to 4 GiB each: a server that lies about its size must not be
 * asked for hours. */
#define SEEK_MAX 16384u

struct nbd_io {
	struct io io;
	struct nbd_server *server;
};

static struct nbd_server *server_of(const struct io *io)
{
	return ((const struct nbd_io *)io)->server;
}

static bool is_aligned(uint64_t pos, uint64_t len, uint32_t align)
{
	return ((pos | len) & (align - 1)) == 0;
}

/* Reading. */

/* Reads the aligned range around an unaligned one. */
static int read_around(struct nbd_server *s, void *buf, size_t len, uint64_t pos)
{
	uint64_t start = pos & ~(uint64_t)(s->read_align - 1);
	uint64_t end = MIN(round_up(pos + len, s->read_align), s->size);
	char *around = malloc(end - start);
	int r = around ? server_read(s, around, end - start, start) : -ENOMEM;

	if (r == 0)
		memcpy(buf, around + (pos - start), len);
	free(around);
	return r;
}

/* Has the server told that the range reads as zeroes? */
static bool is_hole(struct nbd_server *s, uint64_t pos, uint64_t len)
{
	uint64_t end;
	bool zero;

	return s->has_extents && !s->extents_failed && extents_find(s->extents, pos, &zero, &end) &&
	       zero && len <= end - pos;
}

/* Holes are not fetched. */
static void fetch(struct nbd_server *s, uint64_t pos, uint64_t len)
{
	uint64_t end = pos < s->size ? pos + MIN(MIN(len, FETCH_MAX), s->size - pos) : pos;

	for (uint64_t n; pos < end; pos += n) {
		n = MIN(end - pos, AHEAD_BLOCK - pos % AHEAD_BLOCK);
		if (!is_hole(s, pos, n))
			ahead_fetch(s->ahead, pos, n);
	}
}

static void nbd_fetch(struct io *io, uint64_t pos, uint64_t len)
{
	fetch(server_of(io), pos, len);
}

static ssize_t nbd_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	struct nbd_server *s = server_of(io);
	uint64_t from, n;
	int r;

	if (pos >= s->size)
		return 0;
	len = MIN(len, s->size - pos);
	if (is_hole(s, pos, len)) {
		memset(buf, 0, len);
		return (ssize_t)len;
	}
	n = streams_note(&s->streams, pos, len, &from);
	if (n > 0)
		fetch(s, from, n);
	/* The last bytes of an export that is no multiple are an exception of the protocol. */
	if (is_aligned(pos, pos + len == s->size ? 0 : len, s->read_align))
		r = server_read(s, buf, len, pos);
	else
		r = read_around(s, buf, len, pos);
	return r < 0 ? r : (ssize_t)len;
}

/* The extent that pos lies in; false: the server does not tell. */
static bool find_extent(struct nbd_server *s, uint64_t pos, bool *zero, uint64_t *end)
{
	if (s->extents_failed)
		return false;
	if (extents_find(s->extents, pos, zero, end))
		return true;
	if (server_ask_extents(s, pos) < 0) {
		/* The answers to come must agree with this one. */
		s->extents_failed = true;
		return false;
	}
	if (!extents_find(s->extents, pos, zero, end)) {
		*zero = false;
		*end = MIN(pos + UNKNOWN, s->size);
	}
	return true;
}

static int64_t nbd_seek(struct io *io, uint64_t pos, int whence)
{
	struct nbd_server *s = server_of(io);
	bool want_zero = whence == SEEK_HOLE, zero;
	unsigned n = 0;
	uint64_t end;

	for (; pos < s->size; pos = end, n++) {
		/* From now on all is data, so that the answers to come agree with this one. */
		if (n == SEEK_MAX)
			s->extents_failed = true;
		if (!find_extent(s, pos, &zero, &end))
			return -EIO;
		if (zero == want_zero)
			return (int64_t)pos;
	}
	return want_zero ? (int64_t)s->size : -ENXIO;
}

/* Writing. */

static int make_writable(struct io *io, struct err *e)
{
	struct nbd_server *s = server_of(io);
	int r = server_check_writable(s, e);

	if (r < 0)
		return r;
	s->writable = true;
	io->writable = true;
	return 0;
}

/* Changes a part of a block by reading and writing the whole; parts_lock is held for writing. */
static int write_part(struct nbd_server *s, const void *buf, size_t len, uint64_t pos)
{
	uint64_t start = pos & ~(uint64_t)(s->write_align - 1);
	char *block = malloc(s->write_align);
	int r = block ? server_read(s, block, s->write_align, start) : -ENOMEM;

	if (r == 0) {
		memcpy(block + (pos - start), buf, len);
		r = server_write(s, block, s->write_align, start);
	}
	free(block);
	return r;
}

static int write_unaligned(struct nbd_server *s, const char *buf, size_t len, uint64_t pos)
{
	uint32_t align = s->write_align;
	int r = 0;

	for (size_t n; r == 0 && len > 0; buf += n, pos += n, len -= n) {
		n = len - len % align;
		if (pos % align == 0 && n > 0) {
			r = server_write(s, buf, n, pos);
			continue;
		}
		n = MIN(len, align - pos % align);
		r = write_part(s, buf, n, pos);
	}
	return r;
}

static int nbd_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	struct nbd_server *s = server_of(io);
	int r;

	if (!range_fits(pos, len, s->size))
		return -ENOSPC;
	if (is_aligned(pos, len, s->write_align)) {
		pthread_rwlock_rdlock(&s->parts_lock);
		r = server_write(s, buf, len, pos);
	} else {
		pthread_rwlock_wrlock(&s->parts_lock);
		r = write_unaligned(s, buf, len, pos);
	}
	pthread_rwlock_unlock(&s->parts_lock);
	return r;
}

static int nbd_sync(struct io *io)
{
	return server_flush(server_of(io));
}

static int nbd_resize(struct io *io, uint64_t size)
{
	return size > server_of(io)->size ? -ENOSPC : -EINVAL;
}

/* The part of a range that consists of whole blocks; false: none. */
static bool whole_blocks(
	const struct nbd_server *s, uint64_t pos, uint64_t len, uint64_t *start, uint64_t *end)
{
	*start = round_up(pos, s->write_align);
	*end = (pos + len) & ~(uint64_t)(s->write_align - 1);
	return *start < *end;
}

static int write_zeroes(struct io *io, uint64_t pos, uint64_t len)
{
	static const char zeroes[64u << 10];
	int r = 0;

	for (size_t n; r == 0 && len > 0; pos += n, len -= n) {
		n = MIN(len, sizeof zeroes);
		r = nbd_write(io, zeroes, n, pos);
	}
	return r;
}

static int nbd_punch(struct io *io, uint64_t pos, uint64_t len)
{
	struct nbd_server *s = server_of(io);
	uint64_t start, end;
	int r;

	if (!s->can_zero || !whole_blocks(s, pos, len, &start, &end))
		return -EOPNOTSUPP;
	pthread_rwlock_rdlock(&s->parts_lock);
	r = server_range(s, NBD_ZERO, start, end - start);
	pthread_rwlock_unlock(&s->parts_lock);
	if (r == 0)
		r = write_zeroes(io, pos, start - pos);
	if (r == 0)
		r = write_zeroes(io, end, pos + len - end);
	return r == -ENOTSUP ? -EOPNOTSUPP : r;
}

static void nbd_discard(struct io *io, uint64_t pos, uint64_t len)
{
	struct nbd_server *s = server_of(io);
	uint64_t start, end;

	if (!s->can_trim || !whole_blocks(s, pos, len, &start, &end))
		return;
	pthread_rwlock_rdlock(&s->parts_lock);
	server_range(s, NBD_TRIM, start, end - start);
	pthread_rwlock_unlock(&s->parts_lock);
}

/* The rest. */

static int nbd_check(struct io *io, struct err *e)
{
	struct nbd_server *s = server_of(io);

	if (!s->failed)
		return 0;
	if (!e)
		return -EIO;
	pthread_mutex_lock(&s->lock);
	err_set(e, EIO, "%s: %s", s->uri, s->reason);
	pthread_mutex_unlock(&s->lock);
	e->logged = &s->failed_logged;
	return -EIO;
}

static void nbd_close_io(struct io *io)
{
	free(io);
}

static const struct io_ops nbd_ops = {
	.read = nbd_read,
	.seek = nbd_seek,
	.fetch = nbd_fetch,
	.make_writable = make_writable,
	.write = nbd_write,
	.sync = nbd_sync,
	.resize = nbd_resize,
	.punch = nbd_punch,
	.discard = nbd_discard,
	.check = nbd_check,
	.close = nbd_close_io,
};

struct io *nbd_server_io(struct nbd_server *s, struct err *e)
{
	struct nbd_io *n = io_new(sizeof *n, &nbd_ops, s->uri, e);
	struct io *io = &n->io;

	if (!n)
		return NULL;
	n->server = s;
	io->server = s;
	io->title = s->title;
	io->size = s->size;
	io->stored = s->size;
	io->sparse = s->has_extents;
	/* As a device, it keeps its size, and may be longer than the image in it. */
	io->is_block = true;
	io->mode = S_IFREG | 0600;
	io->gid = getegid();
	io->mtime = io->ctime = s->when;
	return io;
}
