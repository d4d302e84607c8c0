/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c - a disk shown as a VMDK in one file, with grains of 64 KiB.
 *
 * monolithicSparse is header, descriptor, redundant grain directory and tables, grain directory and
 * tables, grains.
 *
 * streamOptimized is header, descriptor, compressed grains, grain tables, grain directory, footer;
 * each but the first two after a marker.  Grains are "compressed" without becoming smaller, since
 * the size of the file must be known before they are read: deflate has blocks that store bytes as
 * they are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libdeflate.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "export/allocmap.h"
#include "export/regions.h"
#include "descriptor.h"
#include "stream.h"

#define GRAIN      (VMDK_GRAIN * VMDK_SECTOR)
#define TABLE_BITS (EXPORT_BITS + 9) /* of the offsets that a grain table maps */

/* A grain as a zlib stream: two bytes, two blocks of half a grain, a checksum. */
#define HALF       (GRAIN / 2)
#define BLOCK_HEAD 5u
#define STREAM_LEN (2 + 2 * (BLOCK_HEAD + HALF) + 4)
#define RECORD     ((VMDK_RECORD_HEAD + STREAM_LEN + VMDK_SECTOR - 1) & ~(VMDK_SECTOR - 1))

#define TABLE_RECORD ((1 + VMDK_TABLE_SECTORS) * VMDK_SECTOR)

struct vmdk_export {
	struct regions regions;
	const char *create_type;
	char name[256]; /* of the file */
	struct vmdk_plan plan;
	/* In a stream: */
	const struct allocmap *tables; /* the grain tables that have entries */
	uint64_t tables_pos, gd_pos, gd_sectors;
};

static int fill_header(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)first, (void)n, (void)e;
	vmdk_header_encode(&((const struct vmdk_export *)m)->plan.header, out);
	return 0;
}

static int fill_descriptor(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_export *d = (const struct vmdk_export *)m;
	struct vmdk_descriptor_values text = {
		.parent_cid = VMDK_NO_CID,
		.create_type = d->create_type,
		.sectors = regions_disk_size(m) / VMDK_SECTOR,
		.adapter = "lsilogic",
		.hw_version = "4",
	};
	unsigned char id[GUID_LEN];
	FILE *f = fmemopen(out, VMDK_DESC_LEN * VMDK_SECTOR, "w");

	(void)first, (void)n;
	if (!f)
		return err_nomem(e);
	/* VMDK_FIRST_CID and VMDK_NO_CID are reserved. */
	regions_id(m, "VMDK content", id);
	text.cid = load_le32(id) & 0x7fffffff;
	regions_id(m, "VMDK image", text.ids[0]);
	regions_id(m, "VMDK modification", text.ids[1]);
	regions_id(m, "VMDK long content", text.long_id);
	vmdk_descriptor_write_begin(f, &text);
	fprintf(f, "RW %" PRIu64 " SPARSE \"%s\"\n", text.sectors, d->name);
	vmdk_descriptor_write_end(f, &text);
	fclose(f);
	return 0;
}

/* Puts the entries [first, first+n) of grains or of grain tables, as many as the set has: those in
 * the set lie one after another, step bytes apart, from pos on. */
static void put_entries(const struct allocmap *set, uint64_t first, uint64_t n, uint64_t pos,
	uint64_t step, unsigned char *out)
{
	uint64_t end = MIN(first + n, allocmap_all(set));

	pos += allocmap_rank(set, MIN(first, end)) * step;
	for (uint64_t i = first; i < end; i++, out += 4) {
		if (!allocmap_has(set, i))
			continue;
		store_le32(out, pos / VMDK_SECTOR);
		pos += step;
	}
}

/* bits: as for regions_new. */
static struct vmdk_export *export_new(const struct export_source *s, unsigned bits,
	const char *create_type, const char *name, struct err *e)
{
	struct vmdk_export *d = regions_new(sizeof *d, s, bits, e);

	if (!d)
		return NULL;
	d->create_type = create_type;
	snprintf(d->name, sizeof d->name, "%s", name);
	/* A descriptor has no escape for these. */
	for (char *p = d->name; *p; p++)
		if (*p == '"' || (unsigned char)*p < ' ')
			*p = '_';
	d->plan = vmdk_plan(regions_disk_size(&d->regions) / VMDK_SECTOR, true);
	regions_add_table(&d->regions, 0, 1, VMDK_SECTOR, fill_header);
	regions_add_table(&d->regions, VMDK_DESC_START * VMDK_SECTOR, 1,
		VMDK_DESC_LEN * VMDK_SECTOR, fill_descriptor);
	return d;
}

/* monolithicSparse. */

static int fill_rgd(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)e;
	vmdk_plan_directory(((const struct vmdk_export *)m)->plan.rgt, first, n, out);
	return 0;
}

static int fill_gd(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)e;
	vmdk_plan_directory(((const struct vmdk_export *)m)->plan.gt, first, n, out);
	return 0;
}

static int fill_tables(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_export *d = (const struct vmdk_export *)m;

	(void)e;
	put_entries(m->stored, first, n, d->plan.header.overhead * VMDK_SECTOR, GRAIN, out);
	return 0;
}

static int sparse_make(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	struct vmdk_export *d = export_new(s, 0, "monolithicSparse", name, e);
	struct regions *m = &d->regions;
	const struct vmdk_plan *p = &d->plan;
	uint64_t entries, end;

	if (!d)
		return -e->code;
	entries = p->ntables * VMDK_TABLE;
	regions_add_table(m, p->rgd * VMDK_SECTOR, p->ntables, 4, fill_rgd);
	regions_add_sparse_table(m, p->rgt * VMDK_SECTOR, entries, 4, fill_tables, m->stored);
	regions_add_table(m, p->gd * VMDK_SECTOR, p->ntables, 4, fill_gd);
	regions_add_sparse_table(m, p->gt * VMDK_SECTOR, entries, 4, fill_tables, m->stored);
	end = regions_add_data(m, p->header.overhead * VMDK_SECTOR, m->stored, 0, NULL);
	return regions_end(m, end, &vmdk_export_sparse, file, e);
}

const struct export_format vmdk_export_sparse = {
	.variant = "monolithicSparse",
	.suffix = ".vmdk",
	.max_disk = (uint64_t)VMDK_MAX_GD_BYTES / 4 << TABLE_BITS,
	.max_file = UINT64_C(2) << 40, /* sectors are counted in 32 bits */
	.make = sparse_make,
};

/* streamOptimized. */

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

static int fill_grains(
	const struct regions *m, uint64_t first, size_t n, unsigned char *record, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++, record += RECORD) {
		uint64_t grain = allocmap_select(m->stored, first + i), off = grain * GRAIN;
		unsigned char *out = record + VMDK_RECORD_HEAD;
		uint32_t sum = 1;

		store_le64(record, grain * VMDK_GRAIN);
		store_le32(record + 8, STREAM_LEN);
		store_be16(out, 0x7801); /* zlib, a window of 32 KiB (RFC 1950) */
		out += 2;
		r = put_half(m, off, false, out, &sum, e);
		out += BLOCK_HEAD + HALF;
		if (r == 0)
			r = put_half(m, off + HALF, true, out, &sum, e);
		store_be32(out + BLOCK_HEAD + HALF, sum);
	}
	return r;
}

static int fill_stream_tables(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_export *d = (const struct vmdk_export *)m;

	(void)e;
	for (size_t i = 0; i < n; i++, out += TABLE_RECORD) {
		uint64_t grain = allocmap_select(d->tables, first + i) * VMDK_TABLE;

		vmdk_header_encode_marker(VMDK_TABLE_SECTORS, VMDK_MARKER_TABLE, out);
		put_entries(m->stored, grain, VMDK_TABLE, VMDK_STREAM_START * VMDK_SECTOR, RECORD,
			out + VMDK_SECTOR);
	}
	return 0;
}

static int fill_stream_gd_marker(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)first, (void)n, (void)e;
	vmdk_header_encode_marker(
		((const struct vmdk_export *)m)->gd_sectors, VMDK_MARKER_DIRECTORY, out);
	return 0;
}

static int fill_stream_gd(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_export *d = (const struct vmdk_export *)m;

	(void)e;
	/* An entry has the sector after the marker. */
	put_entries(d->tables, first, n, d->tables_pos + VMDK_SECTOR, TABLE_RECORD, out);
	return 0;
}

/* The footer after its marker. */
static int fill_footer(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	struct vmdk_header h = ((const struct vmdk_export *)m)->plan.header;

	(void)first, (void)n, (void)e;
	h.gd = ((const struct vmdk_export *)m)->gd_pos / VMDK_SECTOR;
	vmdk_header_encode_marker(1, VMDK_MARKER_FOOTER, out);
	vmdk_header_encode(&h, out + VMDK_SECTOR);
	return 0;
}

static int stream_make(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	struct vmdk_export *d = export_new(s, TABLE_BITS, "streamOptimized", name, e);
	struct regions *m = &d->regions;
	uint64_t ntables, end;

	if (!d)
		return -e->code;
	d->tables = m->coarse;
	d->plan.header = vmdk_stream_header(d->plan.header.capacity, VMDK_GD_AT_END);
	ntables = allocmap_all(d->tables);
	d->gd_sectors = div_round_up(ntables * 4, VMDK_SECTOR);
	d->tables_pos = regions_add_table(m, VMDK_STREAM_START * VMDK_SECTOR,
		allocmap_stored(m->stored), RECORD, fill_grains);
	end = regions_add_table(
		m, d->tables_pos, allocmap_stored(d->tables), TABLE_RECORD, fill_stream_tables);
	d->gd_pos = regions_add_table(m, end, 1, VMDK_SECTOR, fill_stream_gd_marker);
	regions_add_sparse_table(m, d->gd_pos, ntables, 4, fill_stream_gd, d->tables);
	end = d->gd_pos + d->gd_sectors * VMDK_SECTOR;
	end = regions_add_table(m, end, 1, 2 * VMDK_SECTOR, fill_footer);
	/* The last sector, the end marker, is all zero. */
	return regions_end(m, end + VMDK_SECTOR, &vmdk_export_stream, file, e);
}

const struct export_format vmdk_export_stream = {
	.variant = "streamOptimized",
	.suffix = "-stream.vmdk",
	.max_disk = (uint64_t)VMDK_MAX_GD_BYTES / 4 << TABLE_BITS,
	.max_file = UINT64_C(2) << 40, /* sectors are counted in 32 bits */
	.make = stream_make,
};
