/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filename.h - private to the VMDK driver: file names in a descriptor. */
#ifndef VDISK_DRIVER_VMDK_FILENAME_H
#define VDISK_DRIVER_VMDK_FILENAME_H

#include "util/limits.h"
#include "image/format.h"

struct err;
struct vmdk_descriptor;

/* Bytes of a file name converted to UTF-8, with the NUL. */
#define VMDK_FILENAME_MAX (3 * LIMIT_NAME + 1)

/* Converts name from the encoding that the descriptor declares to UTF-8. */
int vmdk_filename_decode(const struct vmdk_descriptor *d, const char *name,
	char out[VMDK_FILENAME_MAX], struct err *e);

/* As names of struct format. */
void vmdk_filename_visit(const unsigned char *head, size_t n, format_name_visit *visit, void *arg);

#endif
