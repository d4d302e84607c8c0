/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec.c - libdeflate for speed, zlib for what libdeflate will not take, libzstd. */
#include <errno.h>
#include <stdlib.h>

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "codec.h"
#include "util/err.h"
#include "util/pool.h"

/* A cluster is 2 MiB at most, but levels up to 19 of the encoder may announce a window of 8 MiB
 * when they do not know the length beforehand.  A larger one only takes memory. */
#define ZSTD_WINDOW_LOG_MAX 23

/* The result is smaller than that of QEMU for the same clusters, in a quarter of the time.  Its
 * matches lie up to 32 KiB back, those of QEMU up to 4: readers, QEMU among them, decode the whole
 * cluster and accept both. */
#define DEFLATE_LEVEL 2

/* Streams are written once, and sent over networks. */
#define ZLIB_LEVEL 5

struct codec {
	struct pool deflate, zstd;                /* decompressors */
	struct pool to_deflate, to_zlib, to_zstd; /* compressors, of one level each */
};

struct codec *codec_new(struct err *e)
{
	struct codec *c = calloc(1, sizeof *c);

	if (!c) {
		err_nomem(e);
		return NULL;
	}
	pool_init(&c->deflate);
	pool_init(&c->zstd);
	pool_init(&c->to_deflate);
	pool_init(&c->to_zlib);
	pool_init(&c->to_zstd);
	return c;
}

static void deflate_free(void *d)
{
	libdeflate_free_decompressor(d);
}

static void zstd_free(void *d)
{
	ZSTD_freeDCtx(d);
}

static void to_deflate_free(void *d)
{
	libdeflate_free_compressor(d);
}

static void to_zstd_free(void *d)
{
	ZSTD_freeCCtx(d);
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	pool_end(&c->deflate, deflate_free);
	pool_end(&c->zstd, zstd_free);
	pool_end(&c->to_deflate, to_deflate_free);
	pool_end(&c->to_zlib, to_deflate_free);
	pool_end(&c->to_zstd, to_zstd_free);
	free(c);
}

/* zlib decodes streams that libdeflate refuses: those of more than nout bytes, and those without an
 * end marker, which some writers omit.  The output before an error counts only if the error is lack
 * of space or of input, and never after a zlib header: only the checksum at the end verifies such a
 * stream. */
static ssize_t inflate_slowly(
	int window_bits, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	z_stream z = {.next_in = (void *)in, .avail_in = nin, .next_out = out, .avail_out = nout};
	ssize_t written;
	int r;

	if (inflateInit2(&z, window_bits) != Z_OK)
		return err_nomem(e);
	r = inflate(&z, Z_FINISH);
	written = nout - z.avail_out;
	if (r == Z_BUF_ERROR && window_bits > 0)
		written = err_set(e, EUCLEAN, "damaged zlib data: %s",
			z.avail_out ? "it ends too early" : "it does not end where it should");
	else if (r != Z_STREAM_END && r != Z_BUF_ERROR)
		written =
			err_set(e, EUCLEAN, "damaged deflate data: %s", z.msg ? z.msg : zError(r));
	inflateEnd(&z);
	return written;
}

static ssize_t inflate_any(struct codec *c, int window_bits, const void *in, size_t nin, void *out,
	size_t nout, struct err *e)
{
	struct libdeflate_decompressor *d = pool_take(&c->deflate);
	enum libdeflate_result r;
	size_t written;

	if (!d)
		d = libdeflate_alloc_decompressor();
	if (!d)
		return err_nomem(e);
	if (window_bits < 0)
		r = libdeflate_deflate_decompress_ex(d, in, nin, out, nout, NULL, &written);
	else
		r = libdeflate_zlib_decompress_ex(d, in, nin, out, nout, NULL, &written);
	if (!pool_give(&c->deflate, d))
		libdeflate_free_decompressor(d);
	if (r == LIBDEFLATE_SUCCESS)
		return written;
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
	ZSTD_DCtx *d = pool_take(&c->zstd);
	ssize_t written;

	if (!d)
		d = ZSTD_createDCtx();
	if (!d)
		return err_nomem(e);
	written = zstd_run(d, in, nin, out, nout, e);
	if (!pool_give(&c->zstd, d))
		ZSTD_freeDCtx(d);
	return written;
}

/* Compression. */

static ssize_t deflate_any(struct pool *pool, int level,
	size_t (*compress)(struct libdeflate_compressor *, const void *, size_t, void *, size_t),
	const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	struct libdeflate_compressor *d = pool_take(pool);
	size_t written;

	if (!d)
		d = libdeflate_alloc_compressor(level);
	if (!d)
		return err_nomem(e);
	written = compress(d, in, nin, out, nout);
	if (!pool_give(pool, d))
		libdeflate_free_compressor(d);
	return written;
}

ssize_t codec_deflate(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	return deflate_any(
		&c->to_deflate, DEFLATE_LEVEL, libdeflate_deflate_compress, in, nin, out, nout, e);
}

ssize_t codec_deflate_zlib(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	return deflate_any(
		&c->to_zlib, ZLIB_LEVEL, libdeflate_zlib_compress, in, nin, out, nout, e);
}

size_t codec_deflate_zlib_room(size_t nin)
{
	return libdeflate_zlib_compress_bound(NULL, nin);
}

/* One frame, of the default level of libzstd and QEMU. */
ssize_t codec_zstd_pack(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e)
{
	ZSTD_CCtx *z = pool_take(&c->to_zstd);
	size_t written;

	if (!z)
		z = ZSTD_createCCtx();
	if (!z)
		return err_nomem(e);
	written = ZSTD_compress2(z, out, nout, in, nin);
	if (!pool_give(&c->to_zstd, z))
		ZSTD_freeCCtx(z);
	if (!ZSTD_isError(written))
		return written;
	if (ZSTD_getErrorCode(written) == ZSTD_error_dstSize_tooSmall)
		return 0;
	return err_nomem(e);
}
