/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "fault_io.h"
#include "io/io.h"
#include "unit.h"

struct fault_io {
	struct io io;
	const unsigned char *data;
	unsigned countdown; /* reads until one fails; 0: not armed */
	enum fault fault;
	int failed;
};

static ssize_t fault_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	struct fault_io *f = (struct fault_io *)io;

	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	if (f->countdown > 0 && --f->countdown == 0) {
		f->failed = 1;
		if (f->fault == FAULT_EIO)
			return -EIO;
		len /= 2;
	}
	memcpy(buf, f->data + pos, len);
	return len;
}

static void fault_close(struct io *io)
{
	free(io);
}

static const struct io_ops fault_ops = {.read = fault_read, .close = fault_close};

struct io *fault_io_new(const void *data, size_t len)
{
	struct fault_io *f = calloc(1, sizeof *f);

	ck_assert_ptr_nonnull(f);
	f->io = (struct io){
		.ops = &fault_ops,
		.name = strdup("faulty"),
		.fd = -1,
		.refs = 1,
		.size = len,
		.stored = len,
	};
	f->data = data;
	return &f->io;
}

void fault_io_arm(struct io *io, unsigned nth, enum fault fault)
{
	struct fault_io *f = (struct fault_io *)io;

	f->countdown = nth;
	f->fault = fault;
	f->failed = 0;
}

int fault_io_failed(const struct io *io)
{
	return ((const struct fault_io *)io)->failed;
}
