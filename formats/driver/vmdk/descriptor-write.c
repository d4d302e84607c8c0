/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor-write.c - the text of new descriptors. */
#include "descriptor-write.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "util/bytes.h"

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

void vmdk_descriptor_write_end(FILE *f, const struct vmdk_descriptor_values *t)
{
	static const char *const ids[] = {"image", "modification", "parent", "parentmodification"};
	/* The geometry that the BIOS of a guest sees. */
	bool ide = strcmp(t->adapter, "ide") == 0;
	unsigned heads = ide ? 16 : 255;
	uint64_t cylinders = ide ? MIN(t->sectors / (16 * 63), 16383)
				 : MIN(div_round_up(t->sectors, 255 * 63), 65535);

	fprintf(f,
		"\n# The Disk Data Base\n"
		"#DDB\n"
		"\n"
		"ddb.virtualHWVersion = \"%s\"\n"
		"ddb.adapterType = \"%s\"\n"
		"ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
		"ddb.geometry.heads = \"%u\"\n"
		"ddb.geometry.sectors = \"63\"\n"
		"ddb.longContentID = \"%016" PRIx64 "%08" PRIx32 "%08" PRIx32 "\"\n",
		t->hw_version, t->adapter, cylinders, heads, load_le64(t->long_id),
		load_le32(t->long_id + 8), t->cid);
	if (t->tools_version)
		fprintf(f, "ddb.toolsVersion = \"%s\"\n", t->tools_version);
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		char text[GUID_TEXT];

		guid_text(text, t->ids[i]);
		fprintf(f, "ddb.uuid.%s = \"%s\"\n", ids[i], text);
	}
}
