/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-layout.c - a disk as a VMDK file, monolithicSparse: header, descriptor, redundant grain
 * directory and tables, the same once more, grains of 64 KiB.  All tables are there, also those
 * without an entry: VMware's products cannot do without. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "granules.h"
#include "made.h"
#include "vmdk.h"

#define GRAIN       (VMDK_GRAIN * VMDK_SECTOR)
#define TABLE_BITS  (LAYOUT_BITS + 9) /* of disk that a grain table is for */
#define TABLE_BYTES (VMDK_TABLE * 4)

/* As for a disk on a SCSI bus. */
#define HEADS         255u
#define PER_TRACK     63u
#define MAX_CYLINDERS 65535u

struct vmdk_layout {
	struct made made;
	uint64_t ntables;
	uint64_t rgd_pos, rgt_pos; /* redundant directory, and its tables */
	uint64_t gd_pos, gt_pos;
	uint64_t data_pos;
	char name[VMDK_LAYOUT_NAME];
};

/* The descriptor. */

void vmdk_layout_name(char out[VMDK_LAYOUT_NAME], const char *name)
{
	snprintf(out, VMDK_LAYOUT_NAME, "%s", name);
	for (char *p = out; *p; p++)
		if (*p == '"' || (unsigned char)*p < ' ')
			*p = '_';
}

static void id_text(const struct made *m, const char *use, char text[GUID_TEXT])
{
	unsigned char id[GUID_LEN];

	made_id(m, use, id);
	guid_text(text, id);
}

/* Two values stand for something else; the high bit is clear in both that this makes of them. */
static uint32_t content_id(const struct made *m)
{
	unsigned char id[GUID_LEN];

	made_id(m, "VMDK content", id);
	return load_le32(id) & 0x7fffffff;
}

void vmdk_layout_descriptor(
	const struct made *m, const char *create_type, const char *name, unsigned char *out)
{
	uint64_t sectors = made_disk_size(m) / VMDK_SECTOR;
	uint32_t cid = content_id(m);
	char image[GUID_TEXT], modification[GUID_TEXT];
	unsigned char long_id[GUID_LEN];

	id_text(m, "VMDK image", image);
	id_text(m, "VMDK modification", modification);
	made_id(m, "VMDK long content", long_id);
	snprintf((char *)out, VMDK_DESC_LEN * VMDK_SECTOR,
		"# Disk DescriptorFile\n"
		"version=1\n"
		"encoding=\"UTF-8\"\n"
		"CID=%08" PRIx32 "\n"
		"parentCID=ffffffff\n"
		"createType=\"%s\"\n"
		"\n"
		"# Extent description\n"
		"RW %" PRIu64 " SPARSE \"%s\"\n"
		"\n"
		"# The Disk Data Base\n"
		"#DDB\n"
		"\n"
		"ddb.virtualHWVersion = \"4\"\n"
		"ddb.adapterType = \"lsilogic\"\n"
		"ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
		"ddb.geometry.heads = \"%u\"\n"
		"ddb.geometry.sectors = \"%u\"\n"
		"ddb.longContentID = \"%016" PRIx64 "%08" PRIx32 "%08" PRIx32 "\"\n"
		"ddb.uuid.image = \"%s\"\n"
		"ddb.uuid.modification = \"%s\"\n"
		"ddb.uuid.parent = \"00000000-0000-0000-0000-000000000000\"\n"
		"ddb.uuid.parentmodification = \"00000000-0000-0000-0000-000000000000\"\n",
		cid, create_type, sectors, name,
		MIN(div_round_up(sectors, HEADS * PER_TRACK), MAX_CYLINDERS), HEADS, PER_TRACK,
		load_le64(long_id), load_le32(long_id + 8), cid, image, modification);
}

struct vmdk_header vmdk_layout_header(const struct made *m)
{
	return (struct vmdk_header){
		.capacity = made_disk_size(m) / VMDK_SECTOR,
		.grain = VMDK_GRAIN,
		.desc_start = VMDK_DESC_START,
		.desc_len = VMDK_DESC_LEN,
		.tables_len = VMDK_TABLE,
	};
}

/* Pieces of the file. */

static int fill_header(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_layout *d = (const struct vmdk_layout *)m;
	struct vmdk_header h = vmdk_layout_header(m);

	(void)first, (void)n, (void)e;
	h.version = 1;
	h.flags = VMDK_REDUNDANT;
	h.rgd = d->rgd_pos / VMDK_SECTOR;
	h.gd = d->gd_pos / VMDK_SECTOR;
	h.overhead = d->data_pos / VMDK_SECTOR;
	vmdk_header_encode(&h, out);
	return 0;
}

static int fill_descriptor(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)first, (void)n, (void)e;
	vmdk_layout_descriptor(m, "monolithicSparse", ((const struct vmdk_layout *)m)->name, out);
	return 0;
}

/* Where tables [first, first+n) of those at pos are. */
static void put_tables(uint64_t pos, uint64_t first, size_t n, unsigned char *out)
{
	for (size_t i = 0; i < n; i++)
		store_le32(out + 4 * i, (pos + (first + i) * TABLE_BYTES) / VMDK_SECTOR);
}

static int fill_rgd(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)e;
	put_tables(((const struct vmdk_layout *)m)->rgt_pos, first, n, out);
	return 0;
}

static int fill_gd(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)e;
	put_tables(((const struct vmdk_layout *)m)->gt_pos, first, n, out);
	return 0;
}

static int fill_tables(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vmdk_layout *d = (const struct vmdk_layout *)m;
	uint64_t all = granules_all(m->stored), end = MIN(first + n, all);
	uint64_t pos = d->data_pos + granules_rank(m->stored, MIN(first, all)) * GRAIN;

	(void)e;
	for (uint64_t grain = first; grain < end; grain++, out += 4) {
		if (!granules_has(m->stored, grain))
			continue;
		store_le32(out, pos / VMDK_SECTOR);
		pos += GRAIN;
	}
	return 0;
}

static void place(struct vmdk_layout *d)
{
	uint64_t gd_len, gt_len;

	d->ntables = div_round_up(granules_all(d->made.stored), VMDK_TABLE);
	gd_len = round_up(d->ntables * 4, VMDK_SECTOR);
	gt_len = d->ntables * TABLE_BYTES;
	d->rgd_pos = (VMDK_DESC_START + VMDK_DESC_LEN) * VMDK_SECTOR;
	d->rgt_pos = d->rgd_pos + gd_len;
	d->gd_pos = d->rgt_pos + gt_len;
	d->gt_pos = d->gd_pos + gd_len;
	d->data_pos = round_up(d->gt_pos + gt_len, GRAIN);
}

static int vmdk_make(
	const struct layout_source *s, const char *name, struct view **file, struct err *e)
{
	struct vmdk_layout *d = made_new(sizeof *d, s, e);
	struct made *m = &d->made;
	uint64_t end;

	if (!d)
		return -e->code;
	vmdk_layout_name(d->name, name);
	place(d);
	made_add_table(m, 0, 1, VMDK_SECTOR, fill_header);
	made_add_table(
		m, VMDK_DESC_START * VMDK_SECTOR, 1, VMDK_DESC_LEN * VMDK_SECTOR, fill_descriptor);
	made_add_table(m, d->rgd_pos, d->ntables, 4, fill_rgd);
	made_add_sparse_table(m, d->rgt_pos, d->ntables * VMDK_TABLE, 4, fill_tables, m->stored);
	made_add_table(m, d->gd_pos, d->ntables, 4, fill_gd);
	made_add_sparse_table(m, d->gt_pos, d->ntables * VMDK_TABLE, 4, fill_tables, m->stored);
	end = made_add_data(m, d->data_pos, m->stored, 0, NULL);
	return made_end(m, end, &vmdk_layout, file, e);
}

const struct layout vmdk_layout = {
	.variant = "monolithicSparse",
	.suffix = ".vmdk",
	.max_disk = (uint64_t)VMDK_MAX_GD_BYTES / 4 << TABLE_BITS,
	.max_file = UINT64_C(2) << 40, /* sectors are counted in 32 bits */
	.make = vmdk_make,
};
