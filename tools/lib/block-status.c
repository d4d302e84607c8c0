/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* block-status.c - see block-status.h. */
#include "block-status.h"

#include <unistd.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "input.h"
#include "view/view.h"

struct layers {
	const struct view *disk;
	const struct image *images[LIMIT_CHAIN_DEPTH];
	bool flat[LIMIT_CHAIN_DEPTH]; /* see is_flat */
	unsigned n;
	unsigned last; /* found last: the next range is often of the same image */
};

/* Does the image store its disk as one run of bytes?  Then only the holes of the host file show
 * where there is no data. */
static bool is_flat(const struct view *disk)
{
	struct err ignored = ERR_INIT;
	struct extent x;

	return disk->size > 0 && disk->ops->map(disk, 0, disk->size, &x, &ignored) == 0 &&
	       x.kind == EXTENT_FILE && x.len >= disk->size;
}

/* Is much of the file a hole?  Then clusters were allocated without their data. */
static bool is_preallocated(const struct image *img, const struct io *io)
{
	return img->format->preallocates && io->sparse && io->stored < io->size - io->size / 10;
}

static bool owns(const struct image *img, const struct view *v)
{
	for (size_t i = 0; i < img->nstates; i++)
		if (img->states[i]->view == v)
			return true;
	return img->missing == v;
}

static unsigned layer_of(struct layers *l, const struct view *owner)
{
	for (unsigned i = 0; i < l->n; i++) {
		unsigned layer = (l->last + i) % l->n;

		if (owns(l->images[layer], owner)) {
			l->last = layer;
			return layer;
		}
	}
	return 0;
}

static int status_at(
	struct layers *l, uint64_t off, uint64_t end, struct block_status *p, struct err *e)
{
	struct extent x;
	int r = view_resolve(l->disk, off, end - off, &x, e);

	if (r < 0)
		return r;
	*p = (struct block_status){
		.start = off,
		.len = x.len,
		.depth = layer_of(l, x.owner),
		.present = !x.absent,
		.zero = x.kind == EXTENT_ZERO,
		.data = x.kind != EXTENT_ZERO,
		.compressed = x.kind == EXTENT_GENERATED && x.io,
	};
	if (x.kind == EXTENT_FILE) {
		p->io = x.io;
		p->pos = x.pos;
	}
	if (x.kind == EXTENT_FILE &&
		(l->flat[p->depth] || is_preallocated(l->images[p->depth], x.io))) {
		/* A hole of the host file reads as zeroes. */
		uint64_t data = io_seek(p->io, p->pos, SEEK_DATA);

		p->zero = data > p->pos;
		p->data = !(p->zero && l->flat[p->depth]); /* as QEMU has it */
		p->len = MIN(p->len, (p->zero ? data : io_seek(p->io, p->pos, SEEK_HOLE)) - p->pos);
	}
	return 0;
}

static bool can_join(const struct block_status *a, const struct block_status *b)
{
	return a->depth == b->depth && a->present == b->present && a->zero == b->zero &&
	       a->data == b->data && a->compressed == b->compressed && a->io == b->io &&
	       (!a->io || a->pos + a->len == b->pos);
}

int block_status_visit(const struct input *input, uint64_t start, uint64_t end,
	block_status_fn *visit, void *arg, struct err *e)
{
	struct block_status whole = {0}, p;
	struct layers l = {.disk = input->state->view};
	int r = 0;

	for (const struct image *i = input->img; i && l.n < LIMIT_CHAIN_DEPTH; i = i->parent) {
		l.images[l.n] = i;
		l.flat[l.n++] = is_flat(i->states[0]->view);
	}
	for (uint64_t off = start; r == 0 && off < end; off += p.len) {
		r = status_at(&l, off, end, &p, e);
		if (r < 0)
			return r;
		if (whole.len > 0 && can_join(&whole, &p)) {
			whole.len += p.len;
			continue;
		}
		if (whole.len > 0)
			r = visit(arg, &whole);
		whole = p;
	}
	return r == 0 && whole.len > 0 ? visit(arg, &whole) : r;
}
