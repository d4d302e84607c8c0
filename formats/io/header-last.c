/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "header-last.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io.h"

#define HEAD 512u

struct headlast {
	struct io io;
	struct io *base;
	bool begun;   /* something was written */
	bool changed; /* the first sector was */
	unsigned char head[HEAD];
};

/* How much of [pos, pos+len) lies in the first sector. */
static size_t head_part(uint64_t pos, uint64_t len)
{
	return pos < HEAD ? MIN(len, HEAD - pos) : 0;
}

/* The base with its present size, for a call of its ops.  A file that consists of its first sector
 * is still empty. */
static struct io *base_of(struct headlast *h)
{
	struct io *base = h->base;

	base->size = base->ops->length ? base->ops->length(base) : (uint64_t)h->io.size;
	return base;
}

static ssize_t headlast_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	struct headlast *h = (struct headlast *)io;
	size_t inside = pos < io->size ? MIN(len, io->size - pos) : 0;
	size_t head = head_part(pos, inside);
	ssize_t n = 0;

	memcpy(buf, h->head + (head ? pos : 0), head);
	if (inside > head)
		n = h->base->ops->read(base_of(h), (char *)buf + head, inside - head, pos + head);
	return n < 0 ? n : (ssize_t)head + n;
}

/* Removes the old bytes durably, so that no power cut mixes them with new ones.  Of a device, these
 * are both ends, by which an image is recognized. */
static int remove_old(struct headlast *h)
{
	static const unsigned char zeroes[HEAD];
	struct io *base = h->base;
	int r;

	if (base->size == 0 || (h->io.is_block && h->io.size < HEAD))
		return 0;
	if (!h->io.is_block) {
		r = base->ops->resize(base, 0);
		base->size = r == 0 ? 0 : (uint64_t)base->size;
	} else {
		r = base->ops->write(base_of(h), zeroes, HEAD, 0);
		if (r == 0)
			r = base->ops->write(base_of(h), zeroes, HEAD, h->io.size - HEAD);
	}
	return r == 0 ? base->ops->sync(base) : r;
}

static int begin(struct headlast *h)
{
	int r = h->begun ? 0 : remove_old(h);

	h->begun |= r == 0;
	return r;
}

static int headlast_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	struct headlast *h = (struct headlast *)io;
	size_t head = head_part(pos, len);
	int r = h->io.is_block && !range_fits(pos, len, h->io.size) ? -ENOSPC : begin(h);

	if (r < 0)
		return r;
	if (head > 0) {
		memcpy(h->head + pos, buf, head);
		h->changed = true;
	}
	if (len > head)
		return h->base->ops->write(
			base_of(h), (const char *)buf + head, len - head, pos + head);
	/* The only write may be in the first sector, as for a fixed VHD of no bytes: the file gets
	 * its size here. */
	return pos + len > io->size ? h->base->ops->resize(base_of(h), pos + len) : 0;
}

static int headlast_sync(struct io *io)
{
	struct headlast *h = (struct headlast *)io;

	return h->base->ops->sync(base_of(h));
}

static int headlast_resize(struct io *io, uint64_t size)
{
	struct headlast *h = (struct headlast *)io;
	int r = begin(h);

	if (r < 0)
		return r;
	if (size < HEAD)
		memset(h->head + size, 0, HEAD - size);
	return h->base->ops->resize(base_of(h), size);
}

static int headlast_punch(struct io *io, uint64_t pos, uint64_t len)
{
	struct headlast *h = (struct headlast *)io;
	size_t head = head_part(pos, len);
	int r = begin(h);

	if (r < 0 || !h->base->ops->punch)
		return r < 0 ? r : -EOPNOTSUPP;
	memset(h->head + (head ? pos : 0), 0, head);
	return h->base->ops->punch(base_of(h), pos, len);
}

static int headlast_reserve(struct io *io, uint64_t pos, uint64_t len)
{
	struct headlast *h = (struct headlast *)io;
	int r = begin(h);

	if (r < 0)
		return r;
	return h->base->ops->reserve ? h->base->ops->reserve(base_of(h), pos, len) : 0;
}

static void headlast_close(struct io *io)
{
	struct headlast *h = (struct headlast *)io;

	io_unref(h->base);
	free(h);
}

static const struct io_ops headlast_ops = {
	.read = headlast_read,
	.write = headlast_write,
	.sync = headlast_sync,
	.resize = headlast_resize,
	.punch = headlast_punch,
	.reserve = headlast_reserve,
	.close = headlast_close,
};

struct io *header_last_new(struct io *base, struct err *e)
{
	struct headlast *h = io_new(sizeof *h, &headlast_ops, base->name, e);

	if (!h)
		return NULL;
	io_stand_for(&h->io, base);
	h->io.fd = base->fd;
	h->io.writable = true;
	h->io.is_block = base->is_block;
	h->io.size = base->is_block ? (uint64_t)base->size : 0;
	h->io.cache = NULL;
	h->base = io_ref(base);
	return &h->io;
}

bool header_last_begun(const struct io *io)
{
	return ((const struct headlast *)io)->begun;
}

int header_last_finish(struct io *io, struct err *e)
{
	struct headlast *h = (struct headlast *)io;
	int r;

	h->base->unsynced = true;
	r = io_sync(base_of(h), e);
	if (r == 0 && h->changed)
		r = io_write(h->base, h->head, MIN(HEAD, io->size), 0, e);
	return r == 0 ? io_sync(h->base, e) : r;
}
