/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory_file.h - a writable host file in memory, for fuzz targets that change images.
 *
 * The caller owns the bytes, so that they survive closing and reopening the image.  A write beyond
 * FILE_SIZE_MAX fails with ENOSPC, which bounds the memory of one input.  Not thread-safe.
 */
#ifndef VDISK_FUZZ_MEMORY_FILE_H
#define VDISK_FUZZ_MEMORY_FILE_H

#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "open/open.h"

#define FILE_SIZE_MAX (8u << 20)

struct memory_file {
	struct io io;
	unsigned char *bytes; /* FILE_SIZE_MAX bytes; zeroes beyond the end of the file */
};

static ssize_t memory_file_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	memcpy(buf, ((struct memory_file *)io)->bytes + pos, len);
	return (ssize_t)len;
}

static int memory_file_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	if (!range_fits(pos, len, FILE_SIZE_MAX))
		return -ENOSPC;
	memcpy(((struct memory_file *)io)->bytes + pos, buf, len);
	return 0;
}

static int memory_file_resize(struct io *io, uint64_t size)
{
	if (size > FILE_SIZE_MAX)
		return -ENOSPC;
	if (size < io->size)
		memset(((struct memory_file *)io)->bytes + size, 0, io->size - size);
	return 0;
}

static int memory_file_sync(struct io *io)
{
	(void)io;
	return 0;
}

static void memory_file_close(struct io *io)
{
	free(io);
}

static const struct io_ops memory_file_ops = {
	.read = memory_file_read,
	.write = memory_file_write,
	.resize = memory_file_resize,
	.sync = memory_file_sync,
	.close = memory_file_close,
};

/* Opens the image in the first size bytes; returns NULL if it is refused. */
static inline struct image *memory_file_open(
	unsigned char *bytes, uint64_t size, const struct image_options *o)
{
	struct err e = ERR_INIT;
	struct memory_file *f = io_new(sizeof *f, &memory_file_ops, "fuzz", &e);
	struct image *img = NULL;
	int rc;

	fuzz_require(f);
	f->bytes = bytes;
	f->io.size = f->io.stored = size;
	f->io.writable = o->repair || o->write;
	rc = image_open_io(&f->io, o, &img, &e);
	fuzz_require(rc == 0 || (rc == -e.code && e.text[0] != '\0'));
	return rc == 0 ? img : NULL;
}

#endif
