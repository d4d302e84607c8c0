/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compress.c - writing compressed clusters: byte by byte one behind the other, so that many share
 * a cluster of the file, which is counted once for each. */
#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "io/codec.h"
#include "util/err.h"
#include "io/io.h"
#include "write.h"
#include "qcow2.h"
#include "view/view.h"
#include "view/writer.h"

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
	int r = qcow2_alloc_pack(q->alloc, packed, pos, e);

	if (r < 0)
		return r;
	if (!qcow2_compressed_entry(q, *pos, packed, &entry)) {
		qcow2_alloc_unpack(q->alloc, *pos, packed);
		return err_set(e, EFBIG,
			"position 0x%" PRIx64 " is too large for compressed clusters of %" PRIu32
			" bytes",
			*pos, q->cluster_size);
	}
	/* Another cluster may have been decoded from the same place, before that was given back. */
	cache_drop(q->cache, q->io, entry);
	return 0;
}

int qcow2_reserve_compressed(
	struct view *view, uint64_t off, uint32_t packed, struct reservation *res, struct err *e)
{
	struct qcow2_view *v = (struct qcow2_view *)view;
	const struct qcow2 *q = v->q;
	uint64_t table, pos;
	int r = qcow2_table_own(v, off, &table, e);

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
