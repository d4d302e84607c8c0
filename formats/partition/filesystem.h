/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filesystem.h - which file system lies in a partition, by libblkid. */
#ifndef VDISK_PARTITION_FILESYSTEM_H
#define VDISK_PARTITION_FILESYSTEM_H

struct err;
struct view;

struct filesystem {
	char type[32];   /* "ext4"; "" = nothing recognised */
	char label[256]; /* "" = none */
	char uuid[64];   /* as under /dev/disk/by-uuid; "" = none */
};

/* Looks at a copy of the head and tail of the partition.  Nothing recognised is not an error; a
 * partition that cannot be read is one. */
int filesystem_read(const struct view *part, struct filesystem *id, struct err *e);

/* The title of a type that holds no files by itself: "LVM physical volume"; NULL: it is that of a
 * file system, or not known. */
const char *filesystem_describe(const char *type);

/* The same of an open file that is the partition. */
int filesystem_read_file(int fd, struct filesystem *id, struct err *e);

/* A label or UUID as udev would name a link under /dev/disk ("my\x20disk"); malloc'ed or NULL. */
char *filesystem_encode(const char *label);

#endif
