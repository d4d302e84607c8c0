/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* amend.h - creation options of an image that exists, changed.
 *
 * The messages are those of QEMU.  A crash leaves the image as it was, or with a part of the
 * changes, each of which is whole.
 */
#ifndef VDISK_IMAGE_AMEND_H
#define VDISK_IMAGE_AMEND_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct image;

enum amend_flag { AMEND_KEEP, AMEND_ON, AMEND_OFF };

/* What is to change; all zeroes: nothing. */
struct amendment {
	unsigned version;       /* of qcow2, 2 or 3; 0: as it is */
	unsigned refcount_bits; /* 0: as it is */
	enum amend_flag lazy_refcounts, data_file_raw;
	const char *data_file; /* NULL: as it is */
	uint64_t size;         /* of the disk; 0: as it is */
	bool not_version;      /* private: the version is only checked, and changes later */
};

/* Changes an image that is open for writing, durably.  ENOTSUP: the format has nothing that can be
 * changed. */
int image_amend(struct image *img, const struct amendment *a, struct err *e);

#endif
