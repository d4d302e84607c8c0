/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata.h - private to the VMDK driver: which bytes of a sparse extent are metadata. */
#ifndef VDISK_DRIVER_VMDK_METADATA_H
#define VDISK_DRIVER_VMDK_METADATA_H

#include "driver/common/metadata-regions.h"
#include "tables.h"

struct vmdk_metadata {
	struct metadata_regions fixed; /* that the header names, and the last grain tables */
	uint32_t *tables; /* sectors of the other grain tables, of both directories; sorted */
	size_t ntables;
	uint64_t table_len; /* bytes of each of these */
	uint64_t end;       /* of the last metadata in the file */
	uint64_t tails[2];  /* where the last grain tables end, so far as the disk needs them */
	size_t ntails;
	uint64_t tail_len; /* bytes from there on that longer disks need */
};

/* Reads both directories.  Free it, also on failure. */
int vmdk_metadata_read(const struct vmdk_tables *t, struct vmdk_metadata *m, struct err *e);
void vmdk_metadata_free(struct vmdk_metadata *m);

/* -EUCLEAN: two structures share bytes. */
int vmdk_metadata_check(const struct vmdk_metadata *m, struct err *e);

/* What these bytes are a part of; NULL: of no metadata. */
const char *vmdk_metadata_find(const struct vmdk_metadata *m, uint64_t pos, uint64_t len);

/* Are these bytes what the last grain tables need when the disk becomes longer? */
bool vmdk_metadata_is_tail(const struct vmdk_metadata *m, uint64_t pos, uint64_t len);

#endif
