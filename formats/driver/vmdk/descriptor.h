/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor.h - private to the VMDK driver: the text descriptor, parsed. */
#ifndef VDISK_DRIVER_VMDK_DESCRIPTOR_H
#define VDISK_DRIVER_VMDK_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/guid.h"
#include "util/limits.h"
#include "image/format.h"

struct err;

#define VMDK_NO_CID    UINT32_MAX  /* as parentCID: no parent */
#define VMDK_FIRST_CID 0xfffffffeu /* the CID of a disk that was never written */

/* An extent line. */
struct vmdk_extent_line {
	unsigned number; /* of the line in the text */
	bool hidden;     /* NOACCESS: the disk reads as zeroes here */
	bool fixed;      /* RDONLY */
	const char *type;
	uint64_t sectors;
	const char *file; /* NULL: none */
	uint64_t start;   /* of a flat extent: its first sector in the file */
};

/* Strings point into the text that was parsed. */
struct vmdk_descriptor {
	uint32_t cid, parent_cid;
	const char *create_type; /* this and the next two: NULL when absent */
	const char *parent_hint;
	const char *encoding; /* of file names that are not ASCII */
	uint32_t sector_size; /* 0: absent */
	bool bare;            /* of an extent without descriptor */
	/* VirtualBox's UUIDs, as in struct image; zero: absent. */
	unsigned char id[GUID_LEN], change_id[GUID_LEN];
	unsigned char parent_id[GUID_LEN], parent_change_id[GUID_LEN];
	/* The places in the text that change with the first write; NULL: absent. */
	struct {
		const char *cid, *long_cid, *change_id; /* values */
		const char *tracking; /* the key changeTrackPath: changes are listed in a file */
	} at;
	struct vmdk_extent_line *lines;
	size_t nlines;
};

/* The probe score of the head of a file as a descriptor. */
int vmdk_descriptor_probe(const unsigned char *head, size_t len);

/* Parses text in place; text must outlive the descriptor.  Free it with vmdk_descriptor_free, also
 * on failure. */
int vmdk_descriptor_parse(struct vmdk_descriptor *d, char *text, struct err *e);
void vmdk_descriptor_free(struct vmdk_descriptor *d);

/* Bytes of a file name converted to UTF-8, with the NUL. */
#define VMDK_NAME_MAX (3 * LIMIT_NAME + 1)

/* Converts a file name from the encoding that the descriptor declares to UTF-8. */
int vmdk_descriptor_decode_name(
	const struct vmdk_descriptor *d, const char *name, char out[VMDK_NAME_MAX], struct err *e);

/* As names of struct format. */
void vmdk_descriptor_visit_names(
	const unsigned char *head, size_t n, format_name_visit *visit, void *arg);

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
