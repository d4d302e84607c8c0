/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_image.h - an image in memory under test, and assertions on it. */
#ifndef UNIT_COMMON_TEST_IMAGE_H
#define UNIT_COMMON_TEST_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "image/image.h"
#include "view/view.h"

struct subject {
	struct image_options o; /* set by subject_new; the test may change it */
	struct image *img;
	struct err e;
};

void subject_new(struct subject *s, const char *format);
void subject_free(struct subject *s);

/* Opens the image in len bytes of memory; returns its live disk.  Closes an earlier image. */
const struct view *subject_opens(struct subject *s, const void *bytes, size_t len);

/* Asserts that opening fails with this code and a message that contains text, and leaves the bytes
 * unchanged. */
void subject_refuses(struct subject *s, const void *bytes, size_t len, int code, const char *text);

/* Fails each read of opening in turn, of which there are at least least; each must return the
 * error. */
void subject_faults(struct subject *s, const void *bytes, size_t len, unsigned least);

/* Assertions on a view of the image. */
void subject_reads(const struct view *v, uint64_t off, size_t len, unsigned char byte);
void subject_fails(const struct view *v, uint64_t off, int code, const char *text);

/* Returns the extent at off, asked for up to the end of the view. */
struct extent subject_extent(const struct view *v, uint64_t off);
void subject_maps(const struct view *v, uint64_t off, enum extent_kind kind, uint64_t len);

#endif
