/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor-write.c - how descriptors and sparse extents look that we make, in files and over
 * disks.
 *
 * All grain tables are there, also those without an entry: VMware's products cannot do without.
 */
#include "descriptor-write.h"

#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"

/* The geometry that the firmware of a guest would see. */
struct geometry {
	uint64_t cylinders;
	unsigned heads, per_track;
};

static struct geometry geometry_of(const struct vmdk_text *t)
{
	struct geometry g = {.heads = 255, .per_track = 63};

	if (strcmp(t->adapter, "ide") == 0) {
		g.heads = 16;
		g.cylinders = MIN(t->sectors / (16 * 63), 16383);
	} else {
		g.cylinders = MIN(div_round_up(t->sectors, 255 * 63), 65535);
	}
	return g;
}

void vmdk_text_begin(FILE *f, const struct vmdk_text *t)
{
	fprintf(f,
		"# Disk DescriptorFile\n"
		"version=1\n"
		"encoding=\"UTF-8\"\n"
		"CID=%08" PRIx32 "\n"
		"parentCID=%08" PRIx32 "\n"
		"createType=\"%s\"\n",
		t->cid, t->parent_cid, t->create_type);
	if (t->parent_hint)
		fprintf(f, "parentFileNameHint=\"%s\"\n", t->parent_hint);
	fprintf(f, "\n# Extent description\n");
}

static void put_ids(FILE *f, const struct vmdk_text *t)
{
	static const char *const names[] = {
		"image", "modification", "parent", "parentmodification"};
	char text[GUID_TEXT];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		guid_text(text, t->ids[i]);
		fprintf(f, "ddb.uuid.%s = \"%s\"\n", names[i], text);
	}
}

void vmdk_text_end(FILE *f, const struct vmdk_text *t)
{
	struct geometry g = geometry_of(t);

	fprintf(f,
		"\n# The Disk Data Base\n"
		"#DDB\n"
		"\n"
		"ddb.virtualHWVersion = \"%s\"\n"
		"ddb.adapterType = \"%s\"\n"
		"ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
		"ddb.geometry.heads = \"%u\"\n"
		"ddb.geometry.sectors = \"%u\"\n"
		"ddb.longContentID = \"%016" PRIx64 "%08" PRIx32 "%08" PRIx32 "\"\n",
		t->hw_version, t->adapter, g.cylinders, g.heads, g.per_track, load_le64(t->long_id),
		load_le32(t->long_id + 8), t->cid);
	if (t->tools_version)
		fprintf(f, "ddb.toolsVersion = \"%s\"\n", t->tools_version);
	put_ids(f, t);
}

struct vmdk_plan vmdk_plan(uint64_t capacity, bool embedded)
{
	struct vmdk_plan p = {
		.ntables = div_round_up(capacity, VMDK_GRAIN * VMDK_TABLE),
		.rgd = embedded ? VMDK_DESC_START + VMDK_DESC_LEN : 1,
	};
	uint64_t gd_len = div_round_up(p.ntables * 4, VMDK_SECTOR);
	uint64_t gt_len = p.ntables * (VMDK_TABLE * 4 / VMDK_SECTOR);

	p.rgt = p.rgd + gd_len;
	p.gd = p.rgt + gt_len;
	p.gt = p.gd + gd_len;
	p.header = (struct vmdk_header){
		.version = 1,
		.flags = VMDK_REDUNDANT,
		.capacity = capacity,
		.grain = VMDK_GRAIN,
		.desc_start = embedded ? VMDK_DESC_START : 0,
		.desc_len = embedded ? VMDK_DESC_LEN : 0,
		.tables_len = VMDK_TABLE,
		.rgd = p.rgd,
		.gd = p.gd,
		.overhead = round_up(p.gt + gt_len, VMDK_GRAIN),
	};
	return p;
}

void vmdk_plan_directory(uint64_t gt, uint64_t first, size_t n, unsigned char *out)
{
	for (size_t i = 0; i < n; i++)
		store_le32(out + 4 * i, gt + (first + i) * (VMDK_TABLE * 4 / VMDK_SECTOR));
}
