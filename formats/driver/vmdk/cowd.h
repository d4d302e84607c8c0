/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cowd.h - private to the VMDK driver: the header of a COWD extent. */
#ifndef VDISK_DRIVER_VMDK_COWD_H
#define VDISK_DRIVER_VMDK_COWD_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct io;

#define VMDK_COWD_NAME 1024 /* bytes of the parent's name in the header, with or without a NUL */

struct vmdk_cowd_header {
	uint32_t capacity, grain, gd, gd_len; /* sectors; gd_len: entries */
	bool is_root;                         /* of a disk without parent */
	char parent[VMDK_COWD_NAME + 1];      /* "": none is named */
};

int vmdk_cowd_read(struct io *io, struct vmdk_cowd_header *h, struct err *e);

#endif
