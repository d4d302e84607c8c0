/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.c - copies ranges between views, files of the host directly. */
#include <errno.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view.h"

#define CHUNK     (1u << 20)
#define FROM_FILE (16u << 20) /* at a time: a write holds locks that others wait for */

struct copy {
	const struct view *from;
	struct view *to;
	uint64_t off, to_off, left;
	void *buf;
};

static void advance(struct copy *c, uint64_t n)
{
	c->off += n;
	c->to_off += n;
	c->left -= n;
}

static int copy_hole(struct copy *c, uint64_t len, struct err *e)
{
	int r = view_clear(c->to, c->to_off, len, e);

	if (r == 0)
		advance(c, len);
	return r;
}

/* Can bytes be copied from file to file?  Not if the source image can change: its request_lock
 * would be held while another image is waited for. */
static bool is_stored(const struct copy *c, uint64_t len, struct extent *x)
{
	struct err ignored;

	return !c->from->writer && view_resolve(c->from, c->off, len, x, &ignored) == 0 &&
	       x->kind == EXTENT_FILE && x->io->fd >= 0;
}

static int copy_data(struct copy *c, uint64_t len, struct err *e)
{
	uint64_t n = MIN(len, CHUNK);
	struct extent x;
	int r;

	if (is_stored(c, MIN(len, FROM_FILE), &x)) {
		r = view_write_from(c->to, x.io, x.pos, x.len, c->to_off, e);
		if (r == 0)
			advance(c, x.len);
		return r;
	}
	r = view_read(c->from, c->buf, n, c->off, e);
	if (r == 0)
		r = view_write(c->to, c->buf, n, c->to_off, e);
	if (r == 0)
		advance(c, n);
	return r;
}

/* Copies as far as one look at the map reaches. */
static int copy_step(struct copy *c, struct err *e)
{
	uint64_t len;
	bool data;

	view_enter(c->from);
	data = view_look(c->from, c->off, &len);
	view_leave(c->from);
	len = MIN(len, c->left);
	return data ? copy_data(c, len, e) : copy_hole(c, len, e);
}

int64_t view_copy(const struct view *from, uint64_t off, struct view *to, uint64_t to_off,
	uint64_t len, struct err *e)
{
	struct copy c = {.from = from, .to = to, .off = off, .to_off = to_off};
	int r = 0;

	if (off >= from->size)
		return 0;
	c.left = MIN(len, from->size - off);
	len = c.left;
	c.buf = malloc(CHUNK);
	if (!c.buf)
		return err_nomem(e);
	while (r == 0 && c.left > 0)
		r = copy_step(&c, e);
	free(c.buf);
	return r < 0 && c.left == len ? r : (int64_t)(len - c.left);
}
