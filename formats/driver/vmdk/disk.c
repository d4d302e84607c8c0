/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk.c - the map of a VMDK.
 *
 * The extents lie end to end: extent i begins where extent i-1 ends, the first at 0, and together
 * they are the disk.  Their lengths are those of the extent lines: the capacity in a sparse
 * extent's header is rounded up by some writers.
 */
#include "disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "image/image.h"

/* For array_lower_bound: finds the first extent that begins after an offset. */
static int compare_start(const void *off, const void *extent)
{
	return *(const uint64_t *)off >= ((const struct vmdk_extent *)extent)->start ? 1 : -1;
}

struct vmdk_extent *vmdk_disk_find_extent(const struct vmdk *v, uint64_t off)
{
	size_t size = sizeof v->extents[0];

	return v->extents +
	       array_lower_bound(&off, v->extents, v->desc.nlines, size, compare_start) - 1;
}

static int vmdk_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	const struct vmdk_extent *x = vmdk_disk_find_extent((const struct vmdk *)view, off);
	uint64_t inside = off - x->start;
	int r = x->kind->map(x, inside, MIN(len, x->len - inside), out, e);

	if (r < 0)
		return err_in(e, "%s", x->io->name);
	if (out->kind == EXTENT_BELOW)
		out->pos = off;
	return 0;
}

/* Extents that share a file have the same tables: the first of them will do. */
static const struct vmdk_extent *extent_of(const struct view *view, const struct extent *unit)
{
	const struct vmdk_extent *x = ((const struct vmdk *)view)->extents;

	while (x->io != unit->io || !x->kind->fill)
		x++;
	return x;
}

static int vmdk_fill(const struct view *view, const struct extent *unit, void *buf, struct err *e)
{
	const struct vmdk_extent *x = extent_of(view, unit);

	return x->kind->fill(x, unit, buf, e);
}

static uint64_t vmdk_locate(const struct view *view, const struct extent *unit, uint64_t *pos)
{
	return extent_of(view, unit)->kind->locate(unit, pos);
}

static const struct view_ops disk_ops = {
	.map = vmdk_map,
	.fill = vmdk_fill,
	.locate = vmdk_locate,
	.free = vmdk_disk_free,
};

struct vmdk *vmdk_disk_new(const struct image *img, struct err *e)
{
	struct vmdk *v = calloc(1, sizeof *v);

	if (v)
		v->view = (struct view){.ops = &disk_ops, .cache = img->opts->cache};
	else
		err_nomem(e);
	return v;
}

void vmdk_disk_free(struct view *view)
{
	struct vmdk *v = (struct vmdk *)view;

	for (size_t i = 0; v->extents && i < v->desc.nlines; i++) {
		struct vmdk_extent *x = &v->extents[i];

		if (x->tables && x->kind->close)
			x->kind->close(x);
		free(x->tables);
		io_unref(x->io);
	}
	free(v->extents);
	vmdk_descriptor_free(&v->desc);
	free(v->text);
	free(v);
}

struct vmdk *vmdk_disk_of(const struct image *img)
{
	return (struct vmdk *)img->states[0]->view;
}

/* Extents that are bytes of a file, and extents of zeroes. */

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
