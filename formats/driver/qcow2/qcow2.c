/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2.c - the geometry of an image, from its header, and the ranges of its metadata. */
#include "qcow2.h"

#include <string.h>

#include "util/bytes.h"

/* A table owns its last cluster to the end. */
void qcow2_range_set(struct qcow2 *q, const char *what, uint64_t pos, uint64_t len)
{
	unsigned i = 0;

	while (i < q->nranges && strcmp(q->ranges[i].what, what) != 0)
		i++;
	q->ranges[i] = (struct qcow2_range){
		.what = what, .pos = pos, .len = round_up(len, q->cluster_size)};
	q->nranges = MAX(q->nranges, i + 1);
}

const struct qcow2_range *qcow2_range_hit(const struct qcow2 *q, uint64_t pos, uint64_t len)
{
	const struct qcow2_range *hit = NULL;

	for (unsigned i = 0; i < q->nranges; i++) {
		const struct qcow2_range *range = &q->ranges[i];

		if (range->pos < pos + len && pos < range->pos + range->len &&
			(!hit || range->pos < hit->pos))
			hit = range;
	}
	return hit;
}

void qcow2_init(struct qcow2 *q, struct io *io, struct cache *cache, struct codec *codec)
{
	const struct qcow2_header *h = &q->header;

	q->cache = cache;
	q->codec = codec;
	q->io = q->data = io;
	q->external = h->incompatible & QCOW2_DATA_FILE;
	q->extended = h->incompatible & QCOW2_EXTENDED_L2;
	q->zero_flag = h->version >= 3 && !q->extended;
	q->cluster_size = 1u << h->cluster_bits;
	q->entry_size = q->extended ? 16 : 8;
	q->entries_bits = h->cluster_bits - (q->extended ? 4 : 3);
	q->size = h->size & ~(uint64_t)511; /* whole sectors */
	qcow2_range_set(q, "header", 0, q->cluster_size);
}
