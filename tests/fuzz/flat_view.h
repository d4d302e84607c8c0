/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flat_view.h - a view of bytes in memory, or of zeroes, for the targets of volumes. */
#ifndef VDISK_FUZZ_FLAT_VIEW_H
#define VDISK_FUZZ_FLAT_VIEW_H

#include "fuzz.h"

struct flat {
	struct view view;
	struct io *io; /* NULL: zeroes */
};

static inline int flat_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	(void)e;
	x->io = ((const struct flat *)v)->io;
	x->kind = x->io ? EXTENT_FILE : EXTENT_ZERO;
	x->pos = off;
	x->len = len;
	return 0;
}

static inline void flat_free(struct view *v)
{
	io_unref(((struct flat *)v)->io);
	free(v);
}

/* The bytes are borrowed; NULL: zeroes. */
static inline struct view *flat_new(const void *bytes, uint64_t size)
{
	static const struct view_ops ops = {.map = flat_map, .free = flat_free};
	struct flat *f = calloc(1, sizeof *f);
	struct err e = ERR_INIT;

	fuzz_require(f);
	f->view = (struct view){.ops = &ops, .size = size};
	if (bytes)
		f->io = io_from_memory(bytes, size, "bytes", &e);
	fuzz_require(!bytes || f->io);
	return &f->view;
}

#endif
