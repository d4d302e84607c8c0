/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* label.h - the label of a physical volume, and the places of the metadata of its group
 * (lib/label/label.h and lib/format_text/layout.h of LVM2).
 */
#ifndef VDISK_VOLUME_LVM_LABEL_H
#define VDISK_VOLUME_LVM_LABEL_H

#include <stddef.h>
#include <stdint.h>

#include "group.h"

struct view;

#define LVM_MAX_AREAS 2 /* LVM reads no further ones */

/* Bytes of the device: of a metadata area. */
struct lvm_place {
	uint64_t start, len;
};

struct lvm_label {
	char id[LVM_ID]; /* of the physical volume */
	struct lvm_place areas[LVM_MAX_AREAS];
	size_t nareas;
};

/* A text in the ring buffer of an area; positions are from the start of the area on. */
struct lvm_text {
	struct lvm_place area;
	uint64_t pos, len; /* from the end of the area it goes on behind the header */
	uint32_t crc;
};

/* 1: the device has a label, 0: it has none, -errno: it has a damaged one. */
int lvm_label_read(const struct view *device, struct lvm_label *label, struct err *e);

/* 1: the area has a text; 0: it is not in use; -errno: it is damaged. */
int lvm_text_find(
	const struct view *device, const struct lvm_place *area, struct lvm_text *t, struct err *e);

/* Reads a text, whose checksum must be right; t->len bytes and a NUL.  The caller frees it. */
char *lvm_text_read(const struct view *device, const struct lvm_text *t, struct err *e);

/* The checksum of LVM: a CRC-32 with its own initial value, not inverted. */
uint32_t lvm_crc(const void *data, size_t len);

#endif
