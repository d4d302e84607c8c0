/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.h - private to the VMDK driver: a disk shown as a VMDK file, and the descriptor that both
 * variants of it have. */
#ifndef VDISK_DRIVER_VMDK_EXPORT_H
#define VDISK_DRIVER_VMDK_EXPORT_H

struct err;
struct export_format;
struct regions;

/* export.c, export-stream.c */
extern const struct export_format vmdk_export_sparse, vmdk_export_stream;

#define VMDK_EXPORT_NAME 256 /* bytes of a file name, with the NUL */

/* Copies name with the characters replaced that a descriptor cannot hold. */
void vmdk_export_name(char out[VMDK_EXPORT_NAME], const char *name);

/* Writes the descriptor, VMDK_DESC_LEN sectors, of a file of this name. */
int vmdk_export_descriptor(const struct regions *m, const char *create_type, const char *name,
	unsigned char *out, struct err *e);

#endif
