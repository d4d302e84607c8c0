/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compress.c - writing compressed clusters: byte by byte one behind the other, so that many share
 * a cluster of the file, which is counted once for each. */
#include "compress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "io/codec.h"
#include "io/io.h"
#include "view/view.h"
#include "view/writer.h"
#include "alloc.h"
#include "header.h"
#include "l2.h"
#include "qcow2.h"

static int inflate_cluster(
	const struct qcow2 *q, const void *in, size_t nin, void *out, struct err *e)
{
	ssize_t made;

	if (q->header.compression == QCOW2_ZSTD)
		made = codec_zstd(q->codec, in, nin, out, q->cluster_size, e);
	else
		made = codec_inflate(q->codec, in, nin, out, q->cluster_size, e);
	if (made < 0)
		return made;
	if ((size_t)made != q->cluster_size)
		return err_set(
			e, EUCLEAN, "it holds %zd bytes, not %" PRIu32, made, q->cluster_size);
	return 0;
}

/* The last sector of the input may pass the end of the file: only the stream itself was written.
 * Nothing is put in the place of what is missing: zeroes decode to something, and a stream that was
 * cut off would end in made-up bytes. */
int qcow2_compress_decode(const struct qcow2 *q, uint64_t entry, void *cluster, struct err *e)
{
	uint64_t nin, pos = qcow2_l2_compressed_range(q, entry, &nin);
	void *in;
	int r;

	nin = MIN(nin, q->io->size - pos);
	in = malloc(nin);
	if (!in)
		return err_nomem(e);
	r = io_read(q->io, in, nin, pos, e);
	if (r == 0)
		r = inflate_cluster(q, in, nin, cluster, e);
	free(in);
	return r < 0 ? err_in(e, "compressed cluster at 0x%" PRIx64, pos) : 0;
}

ssize_t qcow2_compress(
	const struct view *v, const void *unit, uint64_t off, void *packed, struct err *e)
{
	const struct qcow2 *q = ((const struct qcow2_view *)v)->q;

	(void)off;
	if (q->header.compression == QCOW2_ZSTD)
		return codec_zstd_pack(
			q->codec, unit, q->cluster_size, packed, v->compressed_max, e);
	return codec_deflate(q->codec, unit, q->cluster_size, packed, v->compressed_max, e);
}

static int take_room(const struct qcow2 *q, uint32_t packed, uint64_t *pos, struct err *e)
{
	uint64_t entry;
	int r = qcow2_alloc_compressed(q->alloc, packed, pos, e);

	if (r < 0)
		return r;
	if (!qcow2_l2_compressed_entry(q, *pos, packed, &entry)) {
		qcow2_alloc_cancel_compressed(q->alloc, *pos, packed);
		return err_set(e, EFBIG,
			"position 0x%" PRIx64 " is too large for compressed clusters of %" PRIu32
			" bytes",
			*pos, q->cluster_size);
	}
	/* Another cluster may have been decoded from the same place, before that was given back. */
	cache_drop(q->cache, &(struct cache_key){.source = q->io, .id = entry});
	return 0;
}

int qcow2_compress_reserve(
	struct view *view, uint64_t off, uint32_t packed, struct reservation *res, struct err *e)
{
	struct qcow2_view *v = (struct qcow2_view *)view;
	const struct qcow2 *q = v->q;
	uint64_t table, pos;
	int r = qcow2_l2_own(v, off, &table, e);

	if (r == 0)
		r = take_room(q, packed, &pos, e);
	if (r < 0)
		return err_in(e, "guest offset 0x%" PRIx64, off);
	*res = (struct reservation){
		.off = off,
		.len = MIN(q->cluster_size, view->size - off),
		.io = q->io,
		.pos = pos,
		.compressed = packed,
	};
	return 0;
}
