/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor-write.h - private to the VMDK driver: descriptors and extents that are made. */
#ifndef VDISK_DRIVER_VMDK_DESCRIPTOR_WRITE_H
#define VDISK_DRIVER_VMDK_DESCRIPTOR_WRITE_H

#include <stdint.h>
#include <stdio.h>

#include "util/guid.h"
#include "vmdk.h"

#define VMDK_GRAIN      128u /* sectors */
#define VMDK_TABLE      512u /* entries of a grain table */
#define VMDK_DESC_START 1u   /* sector */
#define VMDK_DESC_LEN   20u

/* What a descriptor says beside its extents.  Strings are as a descriptor can have them. */
struct vmdk_text {
	uint32_t cid, parent_cid;
	const char *create_type;
	const char *parent_hint; /* NULL: no parent */
	uint64_t sectors;        /* of the disk */
	const char *adapter;     /* "ide", or one of SCSI */
	const char *hw_version;
	const char *tools_version;       /* NULL: not known */
	unsigned char long_id[GUID_LEN]; /* of the content, but for the end that is cid */
	/* VirtualBox's: of the image, of what it holds; the same of its parent. */
	unsigned char ids[4][GUID_LEN];
};

/* What comes before the lines of the extents, and after. */
void vmdk_text_begin(FILE *f, const struct vmdk_text *t);
void vmdk_text_end(FILE *f, const struct vmdk_text *t);

/* Where the parts of a new sparse extent are, in sectors, and what its header says. */
struct vmdk_plan {
	uint64_t ntables;
	uint64_t rgd, rgt; /* redundant directory, and its tables */
	uint64_t gd, gt;
	struct vmdk_header header;
};

/* embedded: with room for the descriptor. */
struct vmdk_plan vmdk_plan(uint64_t capacity, bool embedded);

/* Entries [first, first+n) of the directory of tables that begin in sector gt. */
void vmdk_plan_directory(uint64_t gt, uint64_t first, size_t n, unsigned char *out);

#endif
