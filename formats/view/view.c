/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view.c - reading through a stack of views, for all formats: drivers only map ranges to extents.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "io/crypt.h"
#include "util/err.h"
#include "io/io.h"
#include "view.h"
#include "writer.h"

#define DAMAGE_STEP       (64u << 10)
#define HOST_FILE_EXTENTS 4096 /* looks at the map, for view_host_file */

void view_enter(const struct view *v)
{
	if (v->writer)
		pthread_rwlock_rdlock(&v->writer->request_lock);
}

void view_leave(const struct view *v)
{
	if (v->writer)
		pthread_rwlock_unlock(&v->writer->request_lock);
}

int view_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	int r;

	memset(x, 0, sizeof *x);
	x->owner = v;
	x->below = v->below;
	if (v->deleted)
		return err_set(e, ESTALE, "the snapshot was deleted");
	r = v->ops->map(v, off, len, x, e);
	if (r == 0 && x->len == 0)
		r = err_set(e, EUCLEAN, "nothing is known of the bytes at %" PRIu64, off);
	x->len = MIN(x->len, len);
	return r;
}

static int past_end(const struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	return err_set(e, EINVAL,
		"%" PRIu64 " bytes at %" PRIu64 " pass the end of a disk of %" PRIu64, len, off,
		(uint64_t)v->size);
}

int view_follow(struct extent *x, struct err *e)
{
	const struct view *v;
	int r;

	while (x->kind == EXTENT_BELOW) {
		v = x->below;
		if (!v || x->pos >= v->size) {
			x->kind = EXTENT_ZERO;
			x->absent = true;
			break;
		}
		r = view_map(v, x->pos, MIN(x->len, v->size - x->pos), x, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int view_resolve(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	int r;

	/* The disk may have become shorter since the caller looked at its size. */
	x->len = 0;
	if (len == 0 || !range_fits(off, len, v->size))
		return past_end(v, off, len, e);
	r = view_map(v, off, len, x, e);
	return r == 0 ? view_follow(x, e) : r;
}

static int load_unit(void *arg, void *buf, size_t len, struct err *e)
{
	const struct extent *x = arg;

	(void)len;
	return x->owner->ops->fill(x->owner, x, buf, e);
}

int view_pin(const struct extent *x, const struct block **block, struct err *e)
{
	struct cache_request request = {
		.key.id = x->unit_id, .len = x->unit_len, .load = load_unit, .arg = (void *)x};

	if (!range_fits(x->pos, x->len, x->unit_len))
		return err_set(e, EUCLEAN, "%" PRIu64 " bytes at %" PRIu64 " of a unit of %" PRIu32,
			x->len, x->pos, x->unit_len);
	request.key.source = x->io ? (const void *)x->io : x->owner;
	return cache_pin(x->owner->cache, &request, block, e);
}

int view_read_extent(const struct extent *x, void *buf, struct err *e)
{
	const struct block *block;
	int r;

	switch (x->kind) {
	case EXTENT_ZERO:
		memset(buf, 0, x->len);
		return 0;
	case EXTENT_FILE:
		return io_read(x->io, buf, x->len, x->pos, e);
	case EXTENT_GENERATED:
		r = view_pin(x, &block, e);
		if (r < 0)
			return r;
		memcpy(buf, block->data + x->pos, x->len);
		cache_unpin(x->owner->cache, block);
		return 0;
	case EXTENT_CRYPT:
		return crypt_read(x->crypt, x->io, buf, x->len, x->pos, x->sector, e);
	case EXTENT_BELOW:
		break;
	}
	abort(); /* view_resolve never leaves an EXTENT_BELOW */
}

int view_read_inside(const struct view *v, void *buf, size_t len, uint64_t off, struct err *e)
{
	char *p = buf;

	if (!range_fits(off, len, v->size))
		return past_end(v, off, len, e);
	while (len > 0) {
		struct extent x;
		int r = view_resolve(v, off, len, &x, e);

		if (r == 0)
			r = view_read_extent(&x, p, e);
		if (r < 0)
			return r;
		p += x.len;
		off += x.len;
		len -= x.len;
	}
	return 0;
}

int view_read(const struct view *v, void *buf, size_t len, uint64_t off, struct err *e)
{
	int r;

	view_enter(v);
	r = view_read_inside(v, buf, len, off, e);
	view_leave(v);
	return r;
}

bool view_look(const struct view *v, uint64_t off, uint64_t *len)
{
	struct err ignored;
	struct extent x;
	uint64_t data;

	/* Damage counts as data.  If the map does not give its length the step is short, since the
	 * bytes after it may be readable again. */
	if (view_resolve(v, off, v->size - off, &x, &ignored) < 0) {
		*len = MIN(v->size - off, x.len > 0 ? x.len : DAMAGE_STEP - off % DAMAGE_STEP);
		return true;
	}
	*len = x.len;
	if (x.kind != EXTENT_FILE)
		return x.kind != EXTENT_ZERO;
	/* The host file may have a hole where the image stores something: those bytes are zeroes
	 * that take no space either. */
	data = io_seek(x.io, x.pos, SEEK_DATA);
	if (data > x.pos) {
		*len = MIN(x.len, data - x.pos);
		return false;
	}
	*len = MIN(x.len, io_seek(x.io, x.pos, SEEK_HOLE) - x.pos);
	return true;
}

static int seek_inside(const struct view *v, uint64_t off, int whence, uint64_t *found)
{
	bool want_data = whence == SEEK_DATA;
	uint64_t len;

	if (off >= v->size)
		return -ENXIO;
	for (unsigned n = 0; off < v->size; off += len, n++) {
		if (n == VIEW_LOOKS_MAX && !want_data)
			break;
		if (n == VIEW_LOOKS_MAX || view_look(v, off, &len) == want_data) {
			*found = off;
			return 0;
		}
	}
	if (want_data)
		return -ENXIO;
	*found = v->size;
	return 0;
}

int view_seek(const struct view *v, uint64_t off, int whence, uint64_t *found)
{
	int r;

	view_enter(v);
	r = seek_inside(v, off, whence, found);
	view_leave(v);
	return r;
}

const struct io *view_host_file(const struct view *v)
{
	struct err ignored = ERR_INIT;
	struct extent x = {.io = NULL};
	const struct io *io = NULL;
	uint64_t off = 0;

	view_enter(v);
	for (unsigned n = 0; off < v->size && n < HOST_FILE_EXTENTS; off += x.len, n++) {
		if (view_resolve(v, off, v->size - off, &x, &ignored) < 0 ||
			x.kind != EXTENT_FILE || x.pos != off || (off > 0 && x.io != io))
			break;
		io = x.io;
	}
	view_leave(v);
	return off == v->size ? io : NULL;
}

uint64_t view_stored(const struct view *v)
{
	uint64_t sum = 0, off = 0, len;

	view_enter(v);
	for (unsigned n = 0; off < v->size && n < VIEW_LOOKS_MAX; off += len, n++)
		if (view_look(v, off, &len))
			sum += len;
	sum += v->size - off;
	view_leave(v);
	return sum;
}

bool view_stores_beyond(const struct view *v, uint64_t off)
{
	struct err ignored;
	struct extent x;

	/* A range that cannot be mapped may store something. */
	for (off = round_up(off, v->unit); off < v->size; off += x.len)
		if (view_map(v, off, v->size - off, &x, &ignored) < 0 || x.inplace ||
			(x.kind != EXTENT_ZERO && x.kind != EXTENT_BELOW))
			return true;
	return false;
}

void view_free(struct view *v)
{
	if (!v)
		return;
	if (v->ops->free)
		v->ops->free(v);
	else
		free(v);
}

/* Slices. */

struct slice {
	struct view view;
	uint64_t start;
};

static int slice_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	(void)e;
	x->kind = EXTENT_BELOW;
	x->pos = ((const struct slice *)v)->start + off;
	x->len = len;
	return 0;
}

static const struct view_ops slice_ops = {.map = slice_map};

struct view *view_slice(struct view *below, uint64_t start, uint64_t len, struct err *e)
{
	struct slice *s;

	/* A partition table may be older than the size of the disk. */
	if (!range_fits(start, len, below->size)) {
		past_end(below, start, len, e);
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (!s) {
		err_nomem(e);
		return NULL;
	}
	s->view = (struct view){
		.ops = &slice_ops,
		.size = len,
		.below = below,
		.writer = below->writer,
		.through = true,
	};
	s->start = start;
	return &s->view;
}

struct view *view_through(struct view *v, uint64_t *off, uint64_t *len)
{
	struct err ignored = ERR_INIT;
	struct extent x;

	while (v->through && *len > 0 && view_map(v, *off, *len, &x, &ignored) == 0 &&
		x.kind == EXTENT_BELOW) {
		v = x.below;
		*off = x.pos;
		*len = x.len;
	}
	return v;
}

/* Broken views. */

struct broken {
	struct view view;
	char reason[];
};

static int broken_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	(void)off;
	x->len = len;
	return err_set(e, EIO, "%s", ((const struct broken *)v)->reason);
}

static const struct view_ops broken_ops = {.map = broken_map};

struct view *view_broken(uint64_t size, const char *reason, struct err *e)
{
	struct broken *b = calloc(1, sizeof *b + strlen(reason) + 1);

	if (!b) {
		err_nomem(e);
		return NULL;
	}
	b->view = (struct view){.ops = &broken_ops, .size = size};
	strcpy(b->reason, reason);
	return &b->view;
}
