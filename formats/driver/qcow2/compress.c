/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compress.c - compressed clusters.
 *
 * They lie one after the other, without alignment, so that many share a cluster of the file, whose
 * refcount counts each of them.
 */
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
#include "l2.h"

/* The file may end in the last sector of the input, after the end of the stream.  Bytes beyond the
 * end are not replaced by zeroes: a stream that is cut off would be decoded with them. */
int qcow2_compress_decode(const struct qcow2 *q, uint64_t entry, void *cluster, struct err *e)
{
	uint64_t len, pos = qcow2_l2_compressed_range(q, entry, &len);
	ssize_t n = 0;
	void *in;
	int r;

	len = MIN(len, q->io->size - pos);
	in = malloc(len);
	if (!in)
		return err_nomem(e);
	r = io_read(q->io, in, len, pos, e);
	if (r == 0 && q->header.compression == QCOW2_ZSTD)
		n = codec_zstd(q->codec, in, len, cluster, q->cluster_size, e);
	else if (r == 0)
		n = codec_inflate(q->codec, in, len, cluster, q->cluster_size, e);
	free(in);
	if (r == 0 && n >= 0 && (size_t)n != q->cluster_size)
		r = err_set(e, EUCLEAN, "it holds %zd bytes, not %" PRIu32, n, q->cluster_size);
	if (r == 0 && n < 0)
		r = n;
	return r < 0 ? err_in(e, "compressed cluster at 0x%" PRIx64, pos) : 0;
}

ssize_t qcow2_compress(
	const struct view *v, const void *unit, uint64_t off, void *out, struct err *e)
{
	const struct qcow2 *q = ((const struct qcow2_view *)v)->q;

	(void)off;
	if (q->header.compression == QCOW2_ZSTD)
		return codec_zstd_pack(q->codec, unit, q->cluster_size, out, v->compressed_max, e);
	return codec_deflate(q->codec, unit, q->cluster_size, out, v->compressed_max, e);
}

int qcow2_compress_reserve(
	struct view *view, uint64_t off, uint32_t len, struct reservation *res, struct err *e)
{
	const struct qcow2 *q = ((struct qcow2_view *)view)->q;
	uint64_t table, pos, entry;
	int r = qcow2_l2_own((struct qcow2_view *)view, off, &table, e);

	if (r == 0)
		r = qcow2_alloc_compressed(q->alloc, len, &pos, e);
	if (r == 0 && !qcow2_l2_compressed_entry(q, pos, len, &entry)) {
		qcow2_alloc_cancel_compressed(q->alloc, pos, len);
		r = err_set(e, EFBIG,
			"position 0x%" PRIx64 " is too large for compressed clusters of %" PRIu32
			" bytes",
			pos, q->cluster_size);
	}
	if (r < 0)
		return err_in(e, "guest offset 0x%" PRIx64, off);
	/* The cache may have another cluster that was at this position before it was freed. */
	cache_drop(q->cache, &(struct cache_key){.source = q->io, .id = entry});
	*res = (struct reservation){
		.off = off,
		.len = MIN(q->cluster_size, view->size - off),
		.io = q->io,
		.pos = pos,
		.compressed = len,
	};
	return 0;
}
