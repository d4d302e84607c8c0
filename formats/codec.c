/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec.c - libdeflate for speed, zlib for what libdeflate will not take, libzstd.
 *
 * Contexts that nobody uses wait in two short stacks under one mutex, which is never held while
 * decoding.  More threads than the stacks hold just make and free their own.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "codec.h"
#include "err.h"

#define SPARES 16

/* A cluster is 2 MiB at most, but the encoder's levels up to 19 may announce a window of 8 MiB when
 * they do not know the length beforehand.  More than that is memory for nothing. */
#define ZSTD_WINDOW_LOG_MAX 23

struct spares {
	void *ctx[SPARES];
	size_t n;
};

struct codec {
	pthread_mutex_t lock;
	struct spares deflate, zstd;
};

struct codec *codec_new(struct err *e)
{
	struct codec *c = calloc(1, sizeof *c);

	if (!c) {
		err_nomem(e);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	while (c->deflate.n > 0)
		libdeflate_free_decompressor(c->deflate.ctx[--c->deflate.n]);
	while (c->zstd.n > 0)
		ZSTD_freeDCtx(c->zstd.ctx[--c->zstd.n]);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void *spare_take(struct codec *c, struct spares *s)
{
	void *ctx = NULL;

	pthread_mutex_lock(&c->lock);
	if (s->n > 0)
		ctx = s->ctx[--s->n];
	pthread_mutex_unlock(&c->lock);
	return ctx;
}

/* False: the stack is full and ctx is the caller's to free. */
static bool spare_give(struct codec *c, struct spares *s, void *ctx)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = s->n < SPARES;
	if (room)
		s->ctx[s->n++] = ctx;
	pthread_mutex_unlock(&c->lock);
	return room;
}

/* zlib takes streams that libdeflate refuses: those that give more than nout bytes, and those that
 * have no end marker, as some writers leave them.  Whatever came out before zlib gave up counts
 * only when it gave up for want of room or of input. */
static ssize_t inflate_slowly(
	int window_bits, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	z_stream z = {.next_in = (void *)in, .avail_in = nin, .next_out = out, .avail_out = nout};
	ssize_t made;
	int r;

	if (inflateInit2(&z, window_bits) != Z_OK)
		return err_nomem(e);
	r = inflate(&z, Z_FINISH);
	made = nout - z.avail_out;
	if (r != Z_STREAM_END && r != Z_BUF_ERROR)
		made = err_set(e, EUCLEAN, "damaged deflate data: %s", z.msg ? z.msg : zError(r));
	inflateEnd(&z);
	return made;
}

static ssize_t inflate_any(struct codec *c, int window_bits, const void *in, size_t nin, void *out,
	size_t nout, struct err *e)
{
	struct libdeflate_decompressor *d = spare_take(c, &c->deflate);
	enum libdeflate_result r;
	size_t made;

	if (!d)
		d = libdeflate_alloc_decompressor();
	if (!d)
		return err_nomem(e);
	if (window_bits < 0)
		r = libdeflate_deflate_decompress_ex(d, in, nin, out, nout, NULL, &made);
	else
		r = libdeflate_zlib_decompress_ex(d, in, nin, out, nout, NULL, &made);
	if (!spare_give(c, &c->deflate, d))
		libdeflate_free_decompressor(d);
	if (r == LIBDEFLATE_SUCCESS)
		return made;
	return inflate_slowly(window_bits, in, nin, out, nout, e);
}

ssize_t codec_inflate(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	return inflate_any(c, -15, in, nin, out, nout, e);
}

ssize_t codec_inflate_zlib(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	return inflate_any(c, 15, in, nin, out, nout, e);
}

static ssize_t zstd_run(
	ZSTD_DCtx *d, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	ZSTD_inBuffer from = {.src = in, .size = nin};
	ZSTD_outBuffer to = {.dst = out, .size = nout};
	size_t left = 0;

	ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
	ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	while (to.pos < to.size) {
		size_t in_before = from.pos, out_before = to.pos;

		left = ZSTD_decompressStream(d, &to, &from);
		if (ZSTD_isError(left))
			return err_set(
				e, EUCLEAN, "damaged zstd data: %s", ZSTD_getErrorName(left));
		if (from.pos == in_before && to.pos == out_before)
			return err_set(e, EUCLEAN, "damaged zstd data: it ends too early");
	}
	if (left > 0)
		return err_set(e, EUCLEAN, "damaged zstd data: more than %zu bytes", nout);
	return to.pos;
}

ssize_t codec_zstd(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	ZSTD_DCtx *d = spare_take(c, &c->zstd);
	ssize_t made;

	if (!d)
		d = ZSTD_createDCtx();
	if (!d)
		return err_nomem(e);
	made = zstd_run(d, in, nin, out, nout, e);
	if (!spare_give(c, &c->zstd, d))
		ZSTD_freeDCtx(d);
	return made;
}
