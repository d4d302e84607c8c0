/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flat.c - extents that are bytes of a file, and extents of zeroes. */
#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view/view.h"
#include "disk.h"

static int flat_open(struct vmdk_extent *x, const struct image *img, struct err *e)
{
	uint64_t pos;

	(void)img;
	if (__builtin_mul_overflow(x->line->start, VMDK_SECTOR, &pos) ||
		!range_fits(pos, x->len, x->io->size))
		return err_set(e, EUCLEAN,
			"%" PRIu64 " sectors from sector %" PRIu64
			" on were expected, the file has %" PRIu64 " bytes",
			x->line->sectors, x->line->start, x->io->size);
	return 0;
}

static int flat_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	(void)e;
	out->kind = EXTENT_FILE;
	out->inplace = x->io->writable;
	out->io = x->io;
	out->pos = x->line->start * VMDK_SECTOR + off;
	out->len = len;
	return 0;
}

static int zero_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	(void)x, (void)off, (void)e;
	out->kind = EXTENT_ZERO;
	out->len = len;
	return 0;
}

const struct vmdk_kind vmdk_flat = {.open = flat_open, .map = flat_map};
const struct vmdk_kind vmdk_zero = {
	.map = zero_map,
	.no_writing = "it has a ZERO extent",
};
