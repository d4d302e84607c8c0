/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "block-status.h"

#include <unistd.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "input.h"
#include "view/view.h"

/* What is known of the images of a chain. */
struct walk {
	const struct view *disk;
	const struct image *layers[LIMIT_CHAIN_DEPTH];
	bool flat[LIMIT_CHAIN_DEPTH];
	unsigned n;
	unsigned last; /* the layer that was found last */
};

/* An image that stores its disk in one piece leaves it to the host to know where data is. */
static bool is_flat(const struct view *disk)
{
	struct err ignored = ERR_INIT;
	struct extent x;

	return disk->size > 0 && disk->ops->map(disk, 0, disk->size, &x, &ignored) == 0 &&
	       x.kind == EXTENT_FILE && x.len >= disk->size;
}

static void walk_begin(struct walk *w, const struct input *input)
{
	*w = (struct walk){.disk = input->state->view};
	for (const struct image *i = input->img; i && w->n < LIMIT_CHAIN_DEPTH; i = i->parent) {
		w->layers[w->n] = i;
		w->flat[w->n++] = is_flat(i->states[0]->view);
	}
}

static bool owns(const struct image *img, const struct view *v)
{
	for (size_t i = 0; i < img->nstates; i++)
		if (img->states[i]->view == v)
			return true;
	return img->missing == v;
}

static unsigned layer_of(struct walk *w, const struct view *owner)
{
	for (unsigned i = 0; i < w->n; i++) {
		unsigned layer = (w->last + i) % w->n;

		if (owns(w->layers[layer], owner)) {
			w->last = layer;
			return layer;
		}
	}
	return 0;
}

/* Where the host has a hole, data reads as zeroes. */
static void look_for_holes(struct block_status *p)
{
	uint64_t data = io_seek(p->io, p->pos, SEEK_DATA);

	p->zero = data > p->pos;
	p->data = !p->zero;
	p->len = MIN(p->len, (p->zero ? data : io_seek(p->io, p->pos, SEEK_HOLE)) - p->pos);
}

static int piece_at(
	struct walk *w, uint64_t off, uint64_t end, struct block_status *p, struct err *e)
{
	struct extent x;
	int r = view_resolve(w->disk, off, end - off, &x, e);

	if (r < 0)
		return r;
	*p = (struct block_status){
		.start = off,
		.len = x.len,
		.depth = layer_of(w, x.owner),
		.present = !x.absent,
		.zero = x.kind == EXTENT_ZERO,
		.data = x.kind != EXTENT_ZERO,
		.compressed = x.kind == EXTENT_GENERATED && x.io,
	};
	if (x.kind == EXTENT_FILE) {
		p->io = x.io;
		p->pos = x.pos;
		if (w->flat[p->depth])
			look_for_holes(p);
	}
	return 0;
}

static bool can_follow(const struct block_status *a, const struct block_status *b)
{
	return a->depth == b->depth && a->present == b->present && a->zero == b->zero &&
	       a->data == b->data && a->compressed == b->compressed && a->io == b->io &&
	       (!a->io || a->pos + a->len == b->pos);
}

int block_status_visit(const struct input *input, uint64_t start, uint64_t end,
	block_status_fn *visit, void *arg, struct err *e)
{
	struct block_status whole = {0}, p;
	struct walk w;
	int r = 0;

	walk_begin(&w, input);
	for (uint64_t off = start; r == 0 && off < end; off += p.len) {
		r = piece_at(&w, off, end, &p, e);
		if (r < 0)
			return r;
		if (whole.len > 0 && can_follow(&whole, &p)) {
			whole.len += p.len;
			continue;
		}
		if (whole.len > 0)
			r = visit(arg, &whole);
		whole = p;
	}
	return r == 0 && whole.len > 0 ? visit(arg, &whole) : r;
}
