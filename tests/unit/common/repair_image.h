/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair_image.h - an image file under test of check and repair. */
#ifndef UNIT_COMMON_REPAIR_IMAGE_H
#define UNIT_COMMON_REPAIR_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "problems.h"
#include "image/image.h"

struct repair_image {
	const char *path;
	struct image_options o;
	struct findings f;
};

void repair_image_new(struct repair_image *m, const char *format, const char *path);
void repair_image_free(struct repair_image *m);

struct image *repair_image_open(struct repair_image *m, bool repair);

/* Writes bytes to the file and repairs it: the messages are text, and the contents of the disk do
 * not change. */
void repair_image_repairs(
	struct repair_image *m, const void *bytes, size_t len, unsigned repair, const char *text);

/* The same for the current contents of the file. */
void repair_image_repairs_file(struct repair_image *m, unsigned repair, const char *text);

/* The last repair fixed this many errors and had no check errors. */
void repair_image_fixed(const struct repair_image *m, unsigned corruptions, unsigned leaks);

/* A check without repair reports text. */
void repair_image_check(struct repair_image *m, const char *text);

#endif
