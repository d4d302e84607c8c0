/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw.c - the bytes of a file or a block device, as they are. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/text.h"
#include "io/io.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/creation.h"
#include "image/format.h"
#include "image/image.h"

struct raw {
	struct view view;
	struct io *io;
};

static int raw_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	struct io *io = ((const struct raw *)v)->io;

	x->inplace = io->writable;
	return extent_in_file(x, io, 0, off, len, 0, e);
}

static const struct view_ops raw_ops = {.map = raw_map};

static int raw_resize(struct view *v, uint64_t size, struct err *e)
{
	struct io *io = ((const struct raw *)v)->io;
	int r;

	if (io->is_block)
		return err_set(e, EOPNOTSUPP, "a device keeps its size");
	r = io_resize(io, size, e);
	if (r == 0)
		v->size = size;
	return r;
}

/* Every byte is in place: nothing is ever reserved. */
static const struct write_ops raw_write_ops = {.resize = raw_resize};

static int raw_open(struct image *img, struct err *e)
{
	struct raw *r = calloc(1, sizeof *r);

	if (!r)
		return err_nomem(e);
	r->view = (struct view){
		.ops = &raw_ops,
		.size = img->io->size,
		.write = img->writable ? &raw_write_ops : NULL,
		.granule = 1,
		.unit = 1,
	};
	r->io = img->io;
	if (!image_add_state(img, NULL, NULL, &r->view, e)) {
		free(r);
		return -e->code;
	}
	return 0;
}

/* Raw has no magic: without a name or content of a disk any file would be one. */

static const char *const suffixes[] = {
	"raw", "img", "dd", "iso", "bin", "dsk", "disk", "ima", "001", NULL};

static bool named_like_a_disk(const char *name)
{
	for (const char *const *s = suffixes; *s; s++)
		if (text_ends_with(name, *s) && name[strlen(name) - strlen(*s) - 1] == '.')
			return true;
	return text_ends_with(name, "-flat.vmdk");
}

static bool has_bytes(const struct peek *p, size_t pos, const char *bytes, size_t len)
{
	return range_fits(pos, len, p->nhead) && memcmp(p->head + pos, bytes, len) == 0;
}

static bool looks_like_a_disk(const struct peek *p)
{
	return has_bytes(p, 510, "\x55\xaa", 2) || /* boot sector, partition table */
	       has_bytes(p, 512, "EFI PART", 8) || has_bytes(p, 4096, "EFI PART", 8) ||
	       has_bytes(p, 1080, "\x53\xef", 2) || /* ext2, 3, 4 */
	       has_bytes(p, 0, "XFSB", 4) || has_bytes(p, 32769, "CD001", 5) ||
	       has_bytes(p, 0, "hsqs", 4) || /* squashfs */
	       has_bytes(p, 4086, "SWAPSPACE2", 10) || has_bytes(p, 536, "LABELONE", 8); /* LVM */
}

static bool looks_like_text(const struct peek *p)
{
	size_t n = MIN(p->nhead, 4096);

	for (size_t i = 0; i < n; i++)
		if (p->head[i] < ' ' && !memchr("\t\n\v\f\r\x1b", p->head[i], 6))
			return false;
	return true;
}

static int raw_probe(const struct peek *p)
{
	if (p->is_block)
		return 10;
	if (p->size == 0 || p->is_foreign || looks_like_text(p))
		return 0;
	return named_like_a_disk(p->name) || looks_like_a_disk(p) ? 10 : 0;
}

static int raw_create(struct creation *c, struct err *e)
{
	bool full = creation_is(c, "preallocation", "full");
	int r;

	if (c->io->is_block && c->size > c->io->size)
		return err_set(
			e, ENOSPC, "the device has only %" PRIu64 " bytes", (uint64_t)c->io->size);
	if (c->io->is_block)
		return 0;
	r = io_resize(c->io, c->size, e);
	if (r < 0 || creation_is(c, "preallocation", "off"))
		return r;
	/* Without a header a disk that a crash has truncated would be taken for a smaller one. */
	r = io_sync(c->io, e);
	return r < 0 ? r : creation_preallocate(c->io, 0, c->size, full, e);
}

static const char *const preallocations[] = {"off", "falloc", "full", NULL};

static const struct create_option create_options[] = {
	CREATE_OPTION_SIZE,
	{"preallocation", CREATE_WORD, "allocation of the disk (off, falloc, full)", "off",
		preallocations, NULL},
	{0},
};

/* A part of a sector counts as a sector. */
static int raw_measure(
	const struct view *disk, const struct creation *c, struct measured *m, struct err *e)
{
	(void)disk;
	(void)e;
	m->full = m->required = round_up(c->size, 512);
	return 0;
}

const struct format raw_format = {
	.name = "raw",
	.title = "flat disk or block device",
	.suffixes = suffixes,
	.probe = raw_probe,
	.open = raw_open,
	.can_write = true,
	.create = raw_create,
	.create_options = create_options,
	.measure = raw_measure,
};
