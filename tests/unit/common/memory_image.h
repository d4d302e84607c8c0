/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory_image.h - an image in memory beside the disk that it must read as. */
#ifndef UNIT_COMMON_MEMORY_IMAGE_H
#define UNIT_COMMON_MEMORY_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct image;
struct image_options;
struct view;

struct memory_image {
	const char *format;
	unsigned char *file, *disk;
	size_t file_len, disk_len;
};

/* All zeroes. */
struct memory_image memory_image_new(const char *format, size_t file_len, size_t disk_len);
void memory_image_free(struct memory_image *m);

/* Fills len bytes of the file, and those at off of the disk with the same. */
void memory_image_data(struct memory_image *m, size_t pos, size_t off, size_t len);

int memory_image_open(const struct memory_image *m, const struct image_options *o,
	struct image **img, struct err *e);

/* The view reads as the disk, whole and in pieces. */
void memory_image_shown(const struct memory_image *m, const struct view *v);

/* It is recognised and reads as the disk; no data of it is zero. */
void memory_image_reads(const struct memory_image *m);

/* Opening fails with this code, and these words in the message. */
void memory_image_refused(const struct memory_image *m, int code, const char *part);

/* [off, off+len) cannot be read, as a whole or in part, with this code and these words in the
 * message; what is around it can. */
void memory_image_damaged(
	const struct memory_image *m, uint64_t off, uint64_t len, int code, const char *part);

/* off begins an extent of this kind and length, when the rest of the disk is asked for. */
void memory_image_extent(const struct memory_image *m, uint64_t off, int kind, uint64_t len);

/* Fails the nth read of opening and reading, for every n, of which there are least at least: an
 * error each time, and afterwards all is as if nothing had happened. */
void memory_image_faults(const struct memory_image *m, unsigned least);

#endif
