/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* api_test.h - images for the suites of vdisk.h, in the directory of the test: top.qcow2 with the
 * snapshots "one/a" and "two", over base.qcow2, each with two partitions. */
#ifndef UNIT_API_API_TEST_H
#define UNIT_API_API_TEST_H

#include <stddef.h>
#include <stdint.h>

#include "api/vdisk.h"

#define MIB       ((size_t)1 << 20)
#define DISK_LEN  (8 * MIB)
#define PART1     MIB
#define PART1_LEN (2 * MIB)
#define PART2     (4 * MIB)
#define PART2_LEN MIB

/* The bytes of the disks. */
struct api_images {
	unsigned char *base, *one, *two, *live;
};

void api_images_make(struct api_images *i);
void api_images_free(struct api_images *i);

/* options: NULL-terminated after path. */
struct vdisk_image *api_open(const char *path, ...) __attribute__((sentinel));
struct vdisk_disk *api_disk(struct vdisk_image *image, const char *path);
void api_close(struct vdisk_image *image);

/* Asserts that the disk at path has these bytes. */
void api_reads(struct vdisk_image *image, const char *path, const unsigned char *bytes, size_t len);

/* Asserts that the disk cannot be opened. */
void api_has_no(struct vdisk_image *image, const char *path, int code, const char *part);

/* The paths that are listed, each with a blank after it; valid until the next call. */
const char *api_paths(struct vdisk_image *image, const char *path);

#endif
