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
#include "descriptor.h"

/* The geometry that the firmware of a guest would see. */
struct geometry {
	uint64_t cylinders;
	unsigned heads, per_track;
};

static struct geometry geometry_of(const struct vmdk_descriptor_values *t)
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

void vmdk_descriptor_write_begin(FILE *f, const struct vmdk_descriptor_values *t)
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

static void put_ids(FILE *f, const struct vmdk_descriptor_values *t)
{
	static const char *const names[] = {
		"image", "modification", "parent", "parentmodification"};
	char text[GUID_TEXT];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		guid_text(text, t->ids[i]);
		fprintf(f, "ddb.uuid.%s = \"%s\"\n", names[i], text);
	}
}

void vmdk_descriptor_write_end(FILE *f, const struct vmdk_descriptor_values *t)
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
