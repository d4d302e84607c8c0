/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata.h - private to the VMDK driver: the bytes of a sparse extent that are metadata. */
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
	uint64_t tails[2];  /* the ends of the last grain tables, without unneeded entries */
	size_t ntails;
	uint64_t tail_len; /* bytes of these entries, which a longer disk needs */
};

/* Reads both directories.  Free it, also on failure. */
int vmdk_metadata_read(const struct vmdk_tables *t, struct vmdk_metadata *m, struct err *e);
void vmdk_metadata_free(struct vmdk_metadata *m);

/* -EUCLEAN: two structures share bytes. */
int vmdk_metadata_check(const struct vmdk_metadata *m, struct err *e);

/* The structure that these bytes overlap, for messages; NULL: none. */
const char *vmdk_metadata_find(const struct vmdk_metadata *m, uint64_t pos, uint64_t len);

/* These bytes overlap the entries that the last grain tables need in a longer disk. */
bool vmdk_metadata_is_tail(const struct vmdk_metadata *m, uint64_t pos, uint64_t len);

void vmdk_metadata_sort(uint32_t *sectors, size_t n);

#endif
