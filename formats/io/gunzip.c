/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gunzip.c - random access to deflate streams by zlib.
 *
 * Decoding can begin at the end of a deflate block, given the 32 KiB of output before it and the
 * position in the input to the bit.  Such points are gathered while the file is read through; when
 * there are too many, every other one is dropped.
 *
 * A cursor is a decoder at some place.  Idle cursors are kept, so that sequential reading does not
 * begin at a point again.  Output is decoded in units, which the cache names by the packed file:
 * the packed file itself is not read through the cache.
 */
#include "gunzip.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "util/array.h"
#include "util/limits.h"
#include "util/bytes.h"
#include "cache.h"
#include "util/err.h"
#include "io.h"

#define UNIT       (128u << 10)
#define INPUT      (32u << 10)
#define FIRST_SPAN (1u << 20) /* between points, at least */
#define IDLE_MAX   8

#define WITH_HEADER 31 /* for zlib: a window of 2^15 bytes, in the gzip format */
#define BARE        (-15)
#define TRAILER     8 /* of gzip, behind the deflate stream: checksum and length */

struct point {
	uint64_t in, out;
	unsigned bits; /* of the byte before in that are still to be read */
	unsigned nwindow;
	unsigned char *window;
};

struct cursor {
	z_stream z;
	struct io *packed;
	uint64_t in;  /* of the input that was read, most of it by zlib */
	uint64_t out; /* where the next byte of output belongs */
	bool bare;    /* it began in the middle of a stream, whose trailer zlib does not read */
	bool ended;
	unsigned char input[INPUT];
};

struct gunzip {
	struct io io;
	struct io *packed;
	struct cache *cache;
	struct point *points; /* GUNZIP_MAX_POINTS, in order */
	size_t n;
	uint64_t span;
	pthread_mutex_t lock; /* of idle and nidle; never held while decoding */
	struct cursor *idle[IDLE_MAX];
	size_t nidle;
};

/* Cursors. */

static void cursor_free(struct cursor *c)
{
	if (!c)
		return;
	inflateEnd(&c->z);
	free(c);
}

static struct cursor *cursor_new(struct io *packed, int window_bits, struct err *e)
{
	struct cursor *c = calloc(1, sizeof *c);

	if (!c || inflateInit2(&c->z, window_bits) != Z_OK) {
		free(c);
		err_nomem(e);
		return NULL;
	}
	c->packed = packed;
	c->bare = window_bits == BARE;
	return c;
}

static struct cursor *cursor_at(struct io *packed, const struct point *p, struct err *e)
{
	struct cursor *c = cursor_new(packed, BARE, e);
	unsigned char byte;

	if (!c)
		return NULL;
	c->in = p->in;
	c->out = p->out;
	if (p->bits > 0) {
		if (io_read(packed, &byte, 1, p->in - 1, e) < 0) {
			cursor_free(c);
			return NULL;
		}
		inflatePrime(&c->z, p->bits, byte >> (8 - p->bits));
	}
	if (p->nwindow > 0)
		inflateSetDictionary(&c->z, p->window, p->nwindow);
	return c;
}

/* Has more input ready, if there is more. */
static int cursor_refill(struct cursor *c, struct err *e)
{
	size_t n = MIN(INPUT, c->packed->size - c->in);
	int r;

	if (c->z.avail_in > 0 || n == 0)
		return 0;
	r = io_read(c->packed, c->input, n, c->in, e);
	if (r < 0)
		return r;
	c->in += n;
	c->z.next_in = c->input;
	c->z.avail_in = n;
	return 0;
}

/* After a stream: another one, the end, or zeroes up to the end, which tapes are padded with. */
static int next_stream(struct cursor *c, struct err *e)
{
	unsigned trailer = c->bare ? TRAILER : 0;
	bool padded = false;

	c->bare = false;
	for (;;) {
		int r = cursor_refill(c, e);

		if (r < 0)
			return r;
		if (c->z.avail_in == 0 || (trailer == 0 && c->z.next_in[0] != 0))
			break;
		padded = trailer == 0;
		trailer -= trailer > 0;
		c->z.next_in++;
		c->z.avail_in--;
	}
	if (trailer > 0)
		return err_set(e, EUCLEAN, "gzip data: it ends too early");
	c->ended = c->z.avail_in == 0;
	if (padded && !c->ended)
		return err_set(e, EUCLEAN, "gzip data: garbage after it");
	inflateReset2(&c->z, WITH_HEADER);
	return 0;
}

/* Decodes up to len bytes, fewer at the end of all; with Z_BLOCK also at the end of a block. */
static ssize_t cursor_run(
	struct cursor *c, unsigned char *out, size_t len, int flush, struct err *e)
{
	z_stream *z = &c->z;
	bool stop = false;

	z->next_out = out;
	z->avail_out = len;
	while (!stop && !c->ended && z->avail_out > 0) {
		int code, r = cursor_refill(c, e);

		if (r < 0)
			return r;
		code = inflate(z, flush);
		if (code == Z_STREAM_END)
			r = next_stream(c, e);
		else if (code == Z_BUF_ERROR)
			r = err_set(e, EUCLEAN, "gzip data: it ends too early");
		else if (code == Z_MEM_ERROR)
			r = err_nomem(e);
		else if (code != Z_OK)
			r = err_set(e, EUCLEAN, "gzip data: %s", z->msg ? z->msg : zError(code));
		if (r < 0)
			return r;
		stop = code == Z_OK && flush == Z_BLOCK && (z->data_type & 128);
	}
	c->out += len - z->avail_out;
	return len - z->avail_out;
}

size_t gunzip_peek(struct io *packed, unsigned char *out, size_t len)
{
	struct err ignored = ERR_INIT;
	struct cursor *c = cursor_new(packed, WITH_HEADER, &ignored);
	ssize_t n = c ? cursor_run(c, out, len, Z_NO_FLUSH, &ignored) : 0;

	/* The bytes before the damage count. */
	if (c && n < 0)
		n = len - c->z.avail_out;
	cursor_free(c);
	return n;
}

/* Points. */

static int add_point(struct gunzip *g, struct cursor *c, struct err *e)
{
	struct point p = {
		.in = c->in - c->z.avail_in,
		.out = c->out,
		.bits = c->z.data_type & 7,
	};

	p.window = malloc(32u << 10);
	if (!p.window)
		return err_nomem(e);
	inflateGetDictionary(&c->z, p.window, &p.nwindow);
	if (g->n == GUNZIP_MAX_POINTS) {
		for (size_t i = 0; i < g->n; i++)
			if (i % 2)
				free(g->points[i].window);
			else
				g->points[i / 2] = g->points[i];
		g->n = (g->n + 1) / 2;
		g->span *= 2;
	}
	g->points[g->n++] = p;
	return 0;
}

/* Reads the file through, for its length and the points. */
static int scan(struct gunzip *g, struct err *e)
{
	struct cursor *c = cursor_new(g->packed, WITH_HEADER, e);
	unsigned char *out = malloc(UNIT);
	int r = c && out ? 0 : err_nomem(e);

	while (r == 0 && !c->ended) {
		ssize_t n = cursor_run(c, out, UNIT, Z_BLOCK, e);

		if (n < 0)
			r = (int)n;
		/* At the end of a block, or of a header, that is not the last of its stream. */
		else if (!c->ended && (c->z.data_type & 128) && !(c->z.data_type & 64) &&
			 (g->n == 0 || c->out - g->points[g->n - 1].out >= g->span))
			r = add_point(g, c, e);
	}
	if (r == 0)
		g->io.size = c->out;
	cursor_free(c);
	free(out);
	return r;
}

static int compare_to_point(const void *pos, const void *point)
{
	return *(const uint64_t *)pos < ((const struct point *)point)->out ? -1 : 1;
}

/* The last point at or before pos. */
static const struct point *point_before(const struct gunzip *g, uint64_t pos)
{
	size_t next =
		array_lower_bound(&pos, g->points, g->n, sizeof g->points[0], compare_to_point);

	return &g->points[MAX(next, 1) - 1];
}

/* Reading. */

/* The idle cursor that is next before pos, or NULL if the point at from is nearer. */
static struct cursor *take_idle(struct gunzip *g, uint64_t from, uint64_t pos)
{
	struct cursor *best = NULL;
	size_t at = 0;

	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < g->nidle; i++) {
		struct cursor *c = g->idle[i];

		if (c->out >= from && c->out <= pos && (!best || c->out > best->out)) {
			best = c;
			at = i;
		}
	}
	if (best) {
		g->nidle--;
		memmove(g->idle + at, g->idle + at + 1, (g->nidle - at) * sizeof g->idle[0]);
	}
	pthread_mutex_unlock(&g->lock);
	return best;
}

/* The cursor that has been idle longest is replaced. */
static void leave_idle(struct gunzip *g, struct cursor *c)
{
	struct cursor *oldest = NULL;

	pthread_mutex_lock(&g->lock);
	if (g->nidle == IDLE_MAX) {
		oldest = g->idle[0];
		memmove(g->idle, g->idle + 1, --g->nidle * sizeof g->idle[0]);
	}
	g->idle[g->nidle++] = c;
	pthread_mutex_unlock(&g->lock);
	cursor_free(oldest);
}

/* Decodes the len bytes at pos; the bytes between the cursor and pos go through buf, too. */
static int run_to(struct cursor *c, uint64_t pos, unsigned char *buf, size_t len, struct err *e)
{
	while (c->out < pos + len) {
		size_t want = c->out < pos ? MIN(len, pos - c->out) : len;
		ssize_t n = cursor_run(c, buf, want, Z_NO_FLUSH, e);

		if (n < 0)
			return n;
		if ((size_t)n < want)
			return err_set(e, EIO, "gzip data: it has changed");
	}
	return 0;
}

struct unit {
	struct gunzip *g;
	uint64_t pos;
};

static int load_unit(void *arg, void *buf, size_t len, struct err *e)
{
	const struct unit *u = arg;
	const struct point *p = point_before(u->g, u->pos);
	struct cursor *c = take_idle(u->g, p->out, u->pos);
	int r;

	if (!c)
		c = cursor_at(u->g->packed, p, e);
	r = c ? run_to(c, u->pos, buf, len, e) : -e->code;
	if (r < 0)
		cursor_free(c);
	else
		leave_idle(u->g, c);
	return r;
}

static ssize_t gunzip_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	struct gunzip *g = (struct gunzip *)io;
	size_t done = 0;

	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	while (done < len) {
		uint64_t at = pos + done;
		struct unit u = {.g = g, .pos = at - at % UNIT};
		size_t skip = at % UNIT, nunit = MIN(UNIT, io->size - u.pos);
		size_t n = MIN(len - done, nunit - skip);
		const struct block *block;
		struct err e = ERR_INIT;
		struct cache_request request = {
			.key = {.source = g->packed, .id = u.pos},
			.len = nunit,
			.load = load_unit,
			.arg = &u,
		};
		int r = cache_pin(g->cache, &request, &block, &e);

		if (r < 0)
			return r;
		memcpy((char *)buf + done, block->data + skip, n);
		cache_unpin(g->cache, block);
		done += n;
	}
	return done;
}

static struct io *gunzip_find_altered(struct io *io)
{
	return io_find_altered(((struct gunzip *)io)->packed);
}

static void gunzip_close(struct io *io)
{
	struct gunzip *g = (struct gunzip *)io;

	while (g->nidle > 0)
		cursor_free(g->idle[--g->nidle]);
	while (g->n > 0)
		free(g->points[--g->n].window);
	free(g->points);
	io_unref(g->packed);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static const struct io_ops gunzip_ops = {
	.read = gunzip_read,
	.find_altered = gunzip_find_altered,
	.close = gunzip_close,
};

bool gunzip_probe(struct io *packed)
{
	struct err ignored = ERR_INIT;
	unsigned char magic[3];

	return packed->size >= 18 && io_read(packed, magic, sizeof magic, 0, &ignored) == 0 &&
	       magic[0] == 0x1f && magic[1] == 0x8b && magic[2] == Z_DEFLATED;
}

struct io *gunzip_open(struct io *packed, struct cache *cache, struct err *e)
{
	struct gunzip *g = io_new(sizeof *g, &gunzip_ops, packed->name, e);

	if (!g) {
		io_unref(packed);
		return NULL;
	}
	pthread_mutex_init(&g->lock, NULL);
	io_stand_for(&g->io, packed);
	if (packed->member)
		g->io.member = g->io.name + (packed->member - packed->name);
	packed->cache = cache; /* so that the units are dropped when packed is closed */
	g->packed = packed;
	g->cache = cache;
	g->span = FIRST_SPAN;
	g->points = malloc(GUNZIP_MAX_POINTS * sizeof g->points[0]);
	if (!g->points)
		err_nomem(e);
	else if (scan(g, e) == 0)
		return &g->io;
	else
		err_in(e, "%s", packed->name);
	io_unref(&g->io);
	return NULL;
}
