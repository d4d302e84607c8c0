/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_image.h - an image in memory under test, and what tests say about it. */
#ifndef UNIT_COMMON_TEST_IMAGE_H
#define UNIT_COMMON_TEST_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "image/image.h"
#include "view/view.h"

struct subject {
	struct image_options o; /* subject_new sets what it must; the rest is the test's */
	struct image *img;
	struct err e;
};

void subject_new(struct subject *s, const char *format);
void subject_free(struct subject *s);

/* Opens len bytes of memory; returns the disk.  Opening again closes what was open. */
const struct view *subject_opens(struct subject *s, const void *bytes, size_t len);

/* Opening must fail like this and leave the bytes alone; text is a part of the sentence. */
void subject_refuses(struct subject *s, const void *bytes, size_t len, int code, const char *text);

/* Each read of opening fails once, of which there are at least so many, and it is told. */
void subject_faults(struct subject *s, const void *bytes, size_t len, unsigned least);

/* All of these are about a view of the image. */
void subject_reads(const struct view *v, uint64_t off, size_t len, unsigned char byte);
void subject_fails(const struct view *v, uint64_t off, int code, const char *text);

/* The extent at off, asked for up to the end of the view. */
struct extent subject_extent(const struct view *v, uint64_t off);
void subject_maps(const struct view *v, uint64_t off, enum extent_kind kind, uint64_t len);

#endif
