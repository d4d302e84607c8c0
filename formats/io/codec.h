/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec.h - decompressors and compressors of whole clusters and grains.
 *
 * One struct codec serves all threads: it keeps the contexts that are not in use, so that neither
 * way allocates anything.  Output never passes the buffer given, also for damaged input.
 */
#ifndef VDISK_IO_CODEC_H
#define VDISK_IO_CODEC_H

#include <stddef.h>
#include <sys/types.h>

struct codec;
struct err;

struct codec *codec_new(struct err *e);
void codec_free(struct codec *c);

/* All three write at most nout bytes to out and return their number, or -EUCLEAN.  Input after the
 * stream is ignored.
 *
 * codec_inflate: raw deflate (qcow2 type 0, qcow); a longer stream is cut at nout.
 * codec_inflate_zlib: deflate after a zlib header (streamOptimized VMDK); a longer stream, or
 * one without its end and the checksum there, is damaged.
 * codec_zstd: frames one after another until nout bytes are out; the last frame must end there, and
 * a frame may not need a window of more than 8 MiB. */
ssize_t codec_inflate(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e);
ssize_t codec_inflate_zlib(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e);
ssize_t codec_zstd(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e);

/* Compressors for the decoders above.  They return the number of bytes in out, 0 if more than nout
 * are needed, or -ENOMEM. */
ssize_t codec_deflate(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e);
ssize_t codec_deflate_zlib(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e);
ssize_t codec_zstd_pack(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e);

/* The size of a buffer in which codec_deflate_zlib succeeds for any nin bytes. */
size_t codec_deflate_zlib_room(size_t nin);

#endif
