/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io-slice.c - a member of an archive as an io: a range of the archive. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io.h"

struct io_slice {
	struct io io;
	struct io *archive;
	uint64_t pos;
};

static ssize_t slice_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	const struct io_slice *s = (const struct io_slice *)io;

	if (pos >= io->size)
		return 0;
	return io_read_some(s->archive, buf, MIN(len, io->size - pos), s->pos + pos);
}

static int64_t slice_seek(struct io *io, uint64_t pos, int whence)
{
	const struct io_slice *s = (const struct io_slice *)io;
	int64_t found = s->archive->ops->seek(s->archive, s->pos + pos, whence);

	return found < 0 ? found : found - (int64_t)s->pos;
}

static void slice_fetch(struct io *io, uint64_t pos, uint64_t len)
{
	const struct io_slice *s = (const struct io_slice *)io;

	io_fetch(s->archive, s->pos + pos, len);
}

static struct io *slice_find_altered(struct io *io)
{
	return io_find_altered(((struct io_slice *)io)->archive);
}

static void slice_close(struct io *io)
{
	struct io_slice *s = (struct io_slice *)io;

	io_unref(s->archive);
	free(s);
}

static const struct io_ops slice_ops = {
	.read = slice_read,
	.seek = slice_seek,
	.fetch = slice_fetch,
	.find_altered = slice_find_altered,
	.close = slice_close,
};

struct io *io_slice(
	struct io *archive, uint64_t pos, uint64_t len, const char *member, struct err *e)
{
	struct io_slice *s = NULL;
	char *name;

	/* The archive may have been cut since its headers were read. */
	if (!range_fits(pos, len, archive->size)) {
		err_set(e, EUCLEAN, "%s: \"%s\" passes its end", archive->name, member);
		return NULL;
	}
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
	/* The space of one member of a sparse archive is not worth a walk over its holes. */
	s->io.stored = MIN(len, archive->stored);
	s->io.sparse = archive->sparse && archive->ops->seek;
	s->io.is_block = archive->is_block;
	return &s->io;
}
