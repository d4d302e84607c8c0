/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export-stream.c - a disk shown as a streamOptimized VMDK: header, descriptor, compressed grains,
 * grain tables, grain directory, footer; each but the first two after a marker.
 *
 * Grains are "compressed" without becoming smaller, since the size of the file must be known before
 * they are read: deflate has blocks that store bytes as they are.
 */
#include <string.h>

#include <libdeflate.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "export/allocmap.h"
#include "export/regions.h"
#include "export.h"
#include "stream.h"

#define GRAIN      (VMDK_GRAIN * VMDK_SECTOR)
#define TABLE_BITS (EXPORT_BITS + 9) /* of the offsets that a grain table maps */

/* A grain as a zlib stream: two bytes, two blocks of half a grain, a checksum. */
#define HALF       (GRAIN / 2)
#define BLOCK_HEAD 5u
#define STREAM_LEN (2 + 2 * (BLOCK_HEAD + HALF) + 4)
#define RECORD     ((VMDK_RECORD_HEAD + STREAM_LEN + VMDK_SECTOR - 1) & ~(VMDK_SECTOR - 1))

#define TABLE_RECORD ((1 + VMDK_TABLE_SECTORS) * VMDK_SECTOR)

struct vmdk_stream_export {
	struct regions regions;
	const struct allocmap *tables; /* the grain tables that have entries */
	uint64_t data_pos, tables_pos, gd_pos;
	uint64_t gd_sectors;
	char name[VMDK_EXPORT_NAME];
};

static struct vmdk_header header_with(const struct regions *m, uint64_t gd)
{
	return vmdk_stream_header(regions_disk_size(m) / VMDK_SECTOR, gd);
}

static int fill_header(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	struct vmdk_header h = header_with(m, VMDK_GD_AT_END);

	(void)first, (void)n, (void)e;
	vmdk_header_encode(&h, out);
	return 0;
}

static int fill_descriptor(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)first, (void)n;
	return vmdk_export_descriptor(
		m, "streamOptimized", ((const struct vmdk_stream_export *)m)->name, out, e);
}

/* Half a grain, as a block of deflate that stores it (RFC 1951, section 3.2.4). */
static int put_half(const struct regions *m, uint64_t off, bool last, unsigned char *out,
	uint32_t *sum, struct err *e)
{
	const struct view *disk = m->source.disk;
	size_t len = off < disk->size ? MIN(HALF, disk->size - off) : 0;

	out[0] = last;
	store_le16(out + 1, HALF);
	store_le16(out + 3, (uint16_t)~HALF);
	out += BLOCK_HEAD;
	if (len > 0 && view_read_inside(disk, out, len, off, e) < 0)
		return -e->code;
	*sum = libdeflate_adler32(*sum, out, HALF);
	return 0;
}

static int put_grain(const struct regions *m, uint64_t grain, unsigned char *out, struct err *e)
{
	uint32_t sum = 1;
	int r;

	store_le64(out, grain * VMDK_GRAIN);
	store_le32(out + 8, STREAM_LEN);
	out += VMDK_RECORD_HEAD;
	store_be16(out, 0x7801); /* zlib, a window of 32 KiB (RFC 1950) */
	out += 2;
	r = put_half(m, grain * GRAIN, false, out, &sum, e);
	if (r == 0)
		r = put_half(m, grain * GRAIN + HALF, true, out + BLOCK_HEAD + HALF, &sum, e);
	store_be32(out + 2 * (BLOCK_HEAD + HALF), sum);
	return r;
}

static int fill_grains(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_grain(m, allocmap_select(m->stored, first + i), out + i * RECORD, e);
	return r;
}

/* Puts the table whose first grain this is. */
static void put_table(const struct regions *m, uint64_t grain, unsigned char *out)
{
	uint64_t end = MIN(grain + VMDK_TABLE, allocmap_all(m->stored));
	uint64_t pos = ((const struct vmdk_stream_export *)m)->data_pos +
		       allocmap_rank(m->stored, grain) * RECORD;

	for (; grain < end; grain++, out += 4) {
		if (!allocmap_has(m->stored, grain))
			continue;
		store_le32(out, pos / VMDK_SECTOR);
		pos += RECORD;
	}
}

static int fill_tables(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_stream_export *d = (const struct vmdk_stream_export *)m;

	(void)e;
	for (size_t i = 0; i < n; i++, out += TABLE_RECORD) {
		vmdk_header_encode_marker(VMDK_TABLE_SECTORS, VMDK_MARKER_TABLE, out);
		put_table(m, allocmap_select(d->tables, first + i) * VMDK_TABLE, out + VMDK_SECTOR);
	}
	return 0;
}

static int fill_gd_marker(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)first, (void)n, (void)e;
	vmdk_header_encode_marker(
		((const struct vmdk_stream_export *)m)->gd_sectors, VMDK_MARKER_DIRECTORY, out);
	return 0;
}

static int fill_gd(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_stream_export *d = (const struct vmdk_stream_export *)m;
	uint64_t pos = d->tables_pos + allocmap_rank(d->tables, first) * TABLE_RECORD + VMDK_SECTOR;

	(void)e;
	for (size_t i = 0; i < n; i++) {
		if (!allocmap_has(d->tables, first + i))
			continue;
		store_le32(out + 4 * i, pos / VMDK_SECTOR);
		pos += TABLE_RECORD;
	}
	return 0;
}

/* The footer after its marker. */
static int fill_footer(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	uint64_t gd = ((const struct vmdk_stream_export *)m)->gd_pos / VMDK_SECTOR;
	struct vmdk_header h = header_with(m, gd);

	(void)first, (void)n, (void)e;
	vmdk_header_encode_marker(1, VMDK_MARKER_FOOTER, out);
	vmdk_header_encode(&h, out + VMDK_SECTOR);
	return 0;
}

/* Returns the size of the file: the last sector, the end marker, is all zero. */
static uint64_t add_regions(struct vmdk_stream_export *d)
{
	struct regions *m = &d->regions;
	uint64_t all = allocmap_all(d->tables), end;

	d->data_pos = VMDK_STREAM_START * VMDK_SECTOR;
	d->gd_sectors = div_round_up(all * 4, VMDK_SECTOR);
	regions_add_table(m, 0, 1, VMDK_SECTOR, fill_header);
	regions_add_table(
		m, VMDK_DESC_START * VMDK_SECTOR, 1, VMDK_DESC_LEN * VMDK_SECTOR, fill_descriptor);
	d->tables_pos =
		regions_add_table(m, d->data_pos, allocmap_stored(m->stored), RECORD, fill_grains);
	end = regions_add_table(
		m, d->tables_pos, allocmap_stored(d->tables), TABLE_RECORD, fill_tables);
	d->gd_pos = regions_add_table(m, end, 1, VMDK_SECTOR, fill_gd_marker);
	regions_add_sparse_table(m, d->gd_pos, all, 4, fill_gd, d->tables);
	end = d->gd_pos + d->gd_sectors * VMDK_SECTOR;
	return regions_add_table(m, end, 1, 2 * VMDK_SECTOR, fill_footer) + VMDK_SECTOR;
}

static int vmdk_stream_make(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	struct vmdk_stream_export *d = regions_new(sizeof *d, s, e);

	if (!d)
		return -e->code;
	vmdk_export_name(d->name, name);
	d->tables = regions_coarsen(&d->regions, TABLE_BITS, e);
	if (!d->tables) {
		view_free(&d->regions.view);
		return -e->code;
	}
	return regions_end(&d->regions, add_regions(d), &vmdk_export_stream, file, e);
}

const struct export_format vmdk_export_stream = {
	.variant = "streamOptimized",
	.suffix = "-stream.vmdk",
	.max_disk = (uint64_t)VMDK_MAX_GD_BYTES / 4 << TABLE_BITS,
	.max_file = UINT64_C(2) << 40, /* sectors are counted in 32 bits */
	.make = vmdk_stream_make,
};
