/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory_image.h - an image in memory, with the expected contents of its disk. */
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

/* Makes a file and a disk of zeroes. */
struct memory_image memory_image_new(const char *format, size_t file_len, size_t disk_len);
void memory_image_free(struct memory_image *m);

/* Fills len bytes at pos of the file and at off of the disk with the same pattern. */
void memory_image_data(struct memory_image *m, size_t pos, size_t off, size_t len);

int memory_image_open(const struct memory_image *m, const struct image_options *o,
	struct image **img, struct err *e);

/* Asserts that the view reads as the disk, as a whole and in pieces. */
void memory_image_compare(const struct memory_image *m, const struct view *v);

/* Asserts that the format is probed and the disk reads as expected; allocated data has no zero
 * bytes. */
void memory_image_reads(const struct memory_image *m);

/* Asserts that opening fails with this code and a message that contains part. */
void memory_image_refused(const struct memory_image *m, int code, const char *part);

/* Asserts that every read within [off, off+len) fails with this code and a message that contains
 * part, and that reads around it succeed. */
void memory_image_damaged(
	const struct memory_image *m, uint64_t off, uint64_t len, int code, const char *part);

/* Asserts the kind and length of the extent at off, asked for up to the end of the disk. */
void memory_image_extent(const struct memory_image *m, uint64_t off, int kind, uint64_t len);

/* Lets the nth read of opening and reading fail, for every n, of which there are at least least.
 * Each must return an error, and a second attempt must succeed. */
void memory_image_faults(const struct memory_image *m, unsigned least);

#endif
