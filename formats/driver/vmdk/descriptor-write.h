/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor-write.h - private to the VMDK driver: the text of new descriptors. */
#ifndef VDISK_DRIVER_VMDK_DESCRIPTOR_WRITE_H
#define VDISK_DRIVER_VMDK_DESCRIPTOR_WRITE_H

#include <stdint.h>
#include <stdio.h>

#include "util/guid.h"

/* The values of a descriptor beside its extents.  Strings have no quotes and no control
 * characters. */
struct vmdk_descriptor_values {
	uint32_t cid, parent_cid;
	const char *create_type;
	const char *parent_hint; /* NULL: no parent */
	uint64_t sectors;        /* of the disk */
	const char *adapter;     /* "ide", or a SCSI adapter */
	const char *hw_version;
	const char *tools_version;       /* NULL: not known */
	unsigned char long_id[GUID_LEN]; /* long content ID, whose end is replaced by cid */
	/* VirtualBox's UUIDs: image, modification, parent, parent's modification. */
	unsigned char ids[4][GUID_LEN];
};

/* Write the text before and after the extent lines. */
void vmdk_descriptor_write_begin(FILE *f, const struct vmdk_descriptor_values *t);
void vmdk_descriptor_write_end(FILE *f, const struct vmdk_descriptor_values *t);

#endif
