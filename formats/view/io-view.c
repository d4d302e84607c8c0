/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io-view.h"

#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view.h"
#include "write-inside.h"
#include "writer.h"

struct io_view {
	struct io io;
	struct view *view;
};

static struct view *view_of(const struct io *io)
{
	return ((const struct io_view *)io)->view;
}

static ssize_t inside_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	struct err e = ERR_INIT;
	int r;

	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	r = view_read_inside(view_of(io), buf, len, pos, &e);
	return r < 0 ? r : (ssize_t)len;
}

static int inside_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	struct err e = ERR_INIT;

	return view_write_inside(view_of(io), buf, len, pos, &e);
}

static int inside_reserve(struct io *io, uint64_t pos, uint64_t len)
{
	struct err e = ERR_INIT;

	return view_allocate_inside(view_of(io), pos, len, &e);
}

static ssize_t entered_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	ssize_t n;

	view_enter(view_of(io));
	n = inside_read(io, buf, len, pos);
	view_leave(view_of(io));
	return n;
}

static int64_t entered_seek(struct io *io, uint64_t pos, int whence)
{
	uint64_t found;
	int r = view_seek(view_of(io), pos, whence, &found);

	return r < 0 ? r : (int64_t)found;
}

static void view_close(struct io *io)
{
	free(io);
}

static const struct io_ops inside_ops = {
	.read = inside_read,
	.write = inside_write,
	.reserve = inside_reserve,
	.close = view_close,
};

static const struct io_ops entered_ops = {
	.read = entered_read,
	.seek = entered_seek,
	.close = view_close,
};

static struct io *new (
	const struct view *v, const struct io_ops *ops, const char *name, struct err *e)
{
	struct io_view *io = io_new(sizeof *io, ops, name, e);

	if (!io)
		return NULL;
	io->view = (struct view *)v; /* the ops of io_from_view only read */
	io->io.size = v->size;
	io->io.stored = v->size;
	return &io->io;
}

struct io *io_from_view(const struct view *v, const char *name, struct err *e)
{
	struct io *io = new (v, &entered_ops, name, e);

	if (io)
		io->sparse = true;
	return io;
}

struct io *io_from_view_inside(struct view *v, const char *name, struct err *e)
{
	struct io *io = new (v, &inside_ops, name, e);

	if (io)
		io->writable = v->writer != NULL;
	return io;
}

const struct view *io_view_of(const struct io *io)
{
	return io->ops == &inside_ops || io->ops == &entered_ops ? view_of(io) : NULL;
}
