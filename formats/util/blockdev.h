/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* blockdev.h - images that are described by options of QEMU's block devices.
 *
 * "file:NAME", "json:{...}" and "driver=qcow2,file.filename=NAME" say which file an image is in,
 * its format, and perhaps a range of the file.  Options that could make QEMU read another disk are
 * refused, those of caches and locks are ignored.
 */
#ifndef VDISK_UTIL_BLOCKDEV_H
#define VDISK_UTIL_BLOCKDEV_H

#include <stdbool.h>
#include <stdint.h>

struct err;

struct blockdev {
	char *file;            /* the name of a host file */
	char *format;          /* of the image in it; NULL: to be probed */
	char *secret;          /* the ID of the secret that encrypts it; NULL: none is named */
	uint64_t offset, size; /* the range of the file; size UINT64_MAX: up to its end */
	bool alone;            /* without its backing file */
};

/* Does name begin with "json:" or "file:"? */
bool blockdev_is(const char *name);

/* The name of the file without a "file:" in front. */
const char *blockdev_path(const char *name);

/* Is it a whole file, with its backing file and without a secret? */
bool blockdev_is_plain(const struct blockdev *b);

/* Reads a name that blockdev_is.  ENOTSUP, EINVAL.  Free b in either case. */
int blockdev_parse(struct blockdev *b, const char *name, struct err *e);

/* Reads NAME=VALUE,...; a comma in a value is written twice.  Likewise. */
int blockdev_parse_options(struct blockdev *b, const char *text, struct err *e);

void blockdev_free(struct blockdev *b);

#endif
