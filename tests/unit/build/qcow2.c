/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"
#include "util/bytes.h"
#include "common/unit.h"

#define HEADER_V2      72
#define HEADER_V3      112
#define EXTENDED_L2    (UINT64_C(1) << 4)
#define BACKING_FORMAT 0xe2792acau
#define SNAPSHOT_FIXED 40

void build_qcow2_put(struct build_qcow2 *b, size_t pos, const void *data, size_t len)
{
	assert(range_fits(pos, len, b->len));
	memcpy(b->bytes + pos, data, len);
}

void build_qcow2_field(struct build_qcow2 *b, size_t pos, unsigned width, uint64_t v)
{
	assert(range_fits(pos, width, b->len));
	put_be(b->bytes + pos, width, v);
}

void build_qcow2_put16(struct build_qcow2 *b, size_t pos, uint16_t v)
{
	build_qcow2_field(b, pos, sizeof v, v);
}

void build_qcow2_put32(struct build_qcow2 *b, size_t pos, uint32_t v)
{
	build_qcow2_field(b, pos, sizeof v, v);
}

void build_qcow2_put64(struct build_qcow2 *b, size_t pos, uint64_t v)
{
	build_qcow2_field(b, pos, sizeof v, v);
}

uint64_t build_qcow2_at(const struct build_qcow2 *b, unsigned cluster)
{
	return (uint64_t)cluster << b->cluster_bits;
}

uint64_t build_qcow2_span(const struct build_qcow2 *b)
{
	return build_qcow2_at(b, (1u << b->cluster_bits) / b->entry_size);
}

void build_qcow2_l1(struct build_qcow2 *b, unsigned i, uint64_t entry)
{
	build_qcow2_put64(b, build_qcow2_at(b, AT_L1) + 8 * i, entry);
}

void build_qcow2_l2(struct build_qcow2 *b, unsigned i, uint64_t entry)
{
	build_qcow2_put64(b, build_qcow2_at(b, AT_L2) + b->entry_size * i, entry);
}

void build_qcow2_bitmap(struct build_qcow2 *b, unsigned i, uint32_t zero, uint32_t stored)
{
	build_qcow2_put32(b, build_qcow2_at(b, AT_L2) + 16 * i + 8, zero);
	build_qcow2_put32(b, build_qcow2_at(b, AT_L2) + 16 * i + 12, stored);
}

static void put_header(struct build_qcow2 *b, unsigned version, uint64_t incompatible)
{
	build_qcow2_put(b, 0, "QFI\xfb", 4);
	build_qcow2_put32(b, AT_VERSION, version);
	build_qcow2_put32(b, AT_CLUSTER_BITS, b->cluster_bits);
	build_qcow2_put64(b, AT_SIZE, build_qcow2_span(b));
	build_qcow2_put32(b, AT_L1_SIZE, 1);
	build_qcow2_put64(b, AT_L1_POS, build_qcow2_at(b, AT_L1));
	build_qcow2_put64(b, AT_REFTABLE_POS, build_qcow2_at(b, AT_REFTABLE));
	build_qcow2_put32(b, AT_REFTABLE_CLUSTERS, 1);
	b->extensions_end = HEADER_V2;
	if (version < 3)
		return;
	build_qcow2_put64(b, AT_INCOMPATIBLE, incompatible);
	build_qcow2_put32(b, AT_REFCOUNT_ORDER, 4);
	build_qcow2_put32(b, AT_HEADER_LENGTH, HEADER_V3);
	b->extensions_end = HEADER_V3;
}

void build_qcow2_new(
	struct build_qcow2 *b, unsigned version, unsigned cluster_bits, uint64_t incompatible)
{
	*b = (struct build_qcow2){
		.len = (size_t)ALL_CLUSTERS << cluster_bits,
		.cluster_bits = cluster_bits,
		.entry_size = incompatible & EXTENDED_L2 ? 16 : 8,
	};
	b->bytes = calloc(1, b->len);
	assert(b->bytes);
	put_header(b, version, incompatible);
	build_qcow2_put64(b, build_qcow2_at(b, AT_REFTABLE), build_qcow2_at(b, AT_REFBLOCK));
	for (unsigned i = 0; i < AT_DATA; i++)
		build_qcow2_put16(b, build_qcow2_at(b, AT_REFBLOCK) + 2 * i, 1);
	build_qcow2_l1(b, 0, build_qcow2_at(b, AT_L2) | ENTRY_COPIED);
	for (unsigned i = 0; i < DATA_CLUSTERS; i++)
		memset(b->bytes + build_qcow2_at(b, AT_DATA + i), 0x10 + i, 1u << cluster_bits);
	b->snapshots_end = build_qcow2_at(b, AT_SNAPSHOTS);
}

void build_qcow2_refcount(struct build_qcow2 *b, unsigned cluster, uint16_t count)
{
	build_qcow2_put16(b, build_qcow2_at(b, AT_REFBLOCK) + 2 * cluster, count);
}

void build_qcow2_complete(struct build_qcow2 *b)
{
	build_qcow2_refcount(b, AT_SNAPSHOTS, 0);
	build_qcow2_refcount(b, AT_L1_COPY, 0);
	for (unsigned i = 0; i < 2; i++) {
		build_qcow2_refcount(b, AT_DATA + i, 1);
		build_qcow2_l2(b, i, build_qcow2_at(b, AT_DATA + i) | ENTRY_COPIED);
	}
}

void build_qcow2_free(struct build_qcow2 *b)
{
	free(b->bytes);
}

void build_qcow2_extension(struct build_qcow2 *b, uint32_t type, const void *data, size_t len)
{
	build_qcow2_put32(b, b->extensions_end, type);
	build_qcow2_put32(b, b->extensions_end + 4, len);
	build_qcow2_put(b, b->extensions_end + 8, data, len);
	b->extensions_end += 8 + round_up(len, 8);
}

void build_qcow2_backing(struct build_qcow2 *b, const char *name, const char *format)
{
	if (format)
		build_qcow2_extension(b, BACKING_FORMAT, format, strlen(format));
	b->extensions_end += 8; /* the end marker */
	build_qcow2_put64(b, AT_BACKING_POS, b->extensions_end);
	build_qcow2_put32(b, AT_BACKING_LEN, strlen(name));
	build_qcow2_put(b, b->extensions_end, name, strlen(name));
}

void build_qcow2_snapshot(struct build_qcow2 *b, const struct build_snapshot *s)
{
	size_t pos = b->snapshots_end, n = strlen(s->id), m = strlen(s->name);
	uint32_t extra = MIN(s->extra_len, 16);

	build_qcow2_put64(b, pos, s->l1_pos);
	build_qcow2_put32(b, pos + 8, s->l1_size);
	build_qcow2_put16(b, pos + 12, n);
	build_qcow2_put16(b, pos + 14, m);
	build_qcow2_put32(b, pos + 16, 1000000000);
	build_qcow2_put32(b, pos + 20, 5);
	build_qcow2_put64(b, pos + 24, 7);
	build_qcow2_put32(b, pos + 32, extra < 8 ? s->vmstate_size : 0);
	build_qcow2_put32(b, pos + 36, s->extra_len);
	if (extra >= 8)
		build_qcow2_put64(b, pos + 40, s->vmstate_size);
	if (extra >= 16)
		build_qcow2_put64(b, pos + 48, s->disk_size);
	build_qcow2_put(b, pos + SNAPSHOT_FIXED + extra, s->id, n);
	build_qcow2_put(b, pos + SNAPSHOT_FIXED + extra + n, s->name, m);
	b->snapshots_end = pos + round_up(SNAPSHOT_FIXED + extra + n + m, 8);
	build_qcow2_put64(b, AT_SNAPSHOTS_POS, build_qcow2_at(b, AT_SNAPSHOTS));
	build_qcow2_put32(b, AT_NSNAPSHOTS, load_be32(b->bytes + AT_NSNAPSHOTS) + 1);
}

uint64_t build_qcow2_compressed(const struct build_qcow2 *b, uint64_t pos, size_t len)
{
	uint64_t more = ((pos + len - 1) >> 9) - (pos >> 9);

	return ENTRY_COMPRESSED | more << (62 - (b->cluster_bits - 8)) | pos;
}
