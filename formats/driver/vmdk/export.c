/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c - a disk shown as a monolithicSparse VMDK: header, descriptor, redundant grain directory
 * and tables, grain directory and tables, grains of 64 KiB. */
#include "export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "export/allocmap.h"
#include "export/regions.h"
#include "descriptor-write.h"
#include "descriptor.h"
#include "plan.h"
#include "vmdk.h"

#define GRAIN      (VMDK_GRAIN * VMDK_SECTOR)
#define TABLE_BITS (EXPORT_BITS + 9) /* of the offsets that a grain table maps */

struct vmdk_export {
	struct regions regions;
	struct vmdk_plan plan;
	char name[VMDK_EXPORT_NAME];
};

void vmdk_export_name(char out[VMDK_EXPORT_NAME], const char *name)
{
	snprintf(out, VMDK_EXPORT_NAME, "%s", name);
	for (char *p = out; *p; p++)
		if (*p == '"' || (unsigned char)*p < ' ')
			*p = '_';
}

int vmdk_export_descriptor(const struct regions *m, const char *create_type, const char *name,
	unsigned char *out, struct err *e)
{
	struct vmdk_descriptor_values text = {
		.parent_cid = VMDK_NO_CID,
		.create_type = create_type,
		.sectors = regions_disk_size(m) / VMDK_SECTOR,
		.adapter = "lsilogic",
		.hw_version = "4",
	};
	unsigned char id[GUID_LEN];
	FILE *f = fmemopen(out, VMDK_DESC_LEN * VMDK_SECTOR, "w");

	if (!f)
		return err_nomem(e);
	/* VMDK_FIRST_CID and VMDK_NO_CID are reserved. */
	regions_id(m, "VMDK content", id);
	text.cid = load_le32(id) & 0x7fffffff;
	regions_id(m, "VMDK image", text.ids[0]);
	regions_id(m, "VMDK modification", text.ids[1]);
	regions_id(m, "VMDK long content", text.long_id);
	vmdk_descriptor_write_begin(f, &text);
	fprintf(f, "RW %" PRIu64 " SPARSE \"%s\"\n", text.sectors, name);
	vmdk_descriptor_write_end(f, &text);
	fclose(f);
	return 0;
}

/* Regions of the file. */

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
	(void)first, (void)n;
	return vmdk_export_descriptor(
		m, "monolithicSparse", ((const struct vmdk_export *)m)->name, out, e);
}

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
	uint64_t all = allocmap_all(m->stored), end = MIN(first + n, all);
	uint64_t pos = d->plan.header.overhead * VMDK_SECTOR +
		       allocmap_rank(m->stored, MIN(first, all)) * GRAIN;

	(void)e;
	for (uint64_t grain = first; grain < end; grain++, out += 4) {
		if (!allocmap_has(m->stored, grain))
			continue;
		store_le32(out, pos / VMDK_SECTOR);
		pos += GRAIN;
	}
	return 0;
}

static int vmdk_make(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	struct vmdk_export *d = regions_new(sizeof *d, s, e);
	struct regions *m = &d->regions;
	const struct vmdk_plan *p = &d->plan;
	uint64_t entries, end;

	if (!d)
		return -e->code;
	vmdk_export_name(d->name, name);
	d->plan = vmdk_plan(regions_disk_size(m) / VMDK_SECTOR, true);
	entries = p->ntables * VMDK_TABLE;
	regions_add_table(m, 0, 1, VMDK_SECTOR, fill_header);
	regions_add_table(
		m, VMDK_DESC_START * VMDK_SECTOR, 1, VMDK_DESC_LEN * VMDK_SECTOR, fill_descriptor);
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
	.make = vmdk_make,
};
