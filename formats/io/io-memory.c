/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io-memory.c - bytes in memory as an io. */
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "io.h"

struct io_memory {
	struct io io;
	const unsigned char *data;
};

static ssize_t memory_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	const struct io_memory *m = (const struct io_memory *)io;

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
	struct io_memory *m = io_new(sizeof *m, &memory_ops, name, e);

	if (!m)
		return NULL;
	m->io.size = len;
	m->io.stored = len;
	m->data = data;
	return &m->io;
}
