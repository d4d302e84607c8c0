/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair_image.h - an image in a file that is repaired, for tests. */
#ifndef UNIT_COMMON_REPAIR_IMAGE_H
#define UNIT_COMMON_REPAIR_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "problems.h"
#include "image/image.h"

struct mender {
	const char *path;
	struct image_options o;
	struct findings f;
};

void mender_new(struct mender *m, const char *format, const char *path);
void mender_free(struct mender *m);

struct image *mender_open(struct mender *m, bool repair);

/* Puts bytes into the file and repairs it, which tells the text; the disk is the same after. */
void mender_mends(
	struct mender *m, const void *bytes, size_t len, unsigned repair, const char *text);

/* The same of the file as it is. */
void mender_mends_file(struct mender *m, unsigned repair, const char *text);

/* So much was mended then, and all was looked at. */
void mender_fixed(const struct mender *m, unsigned corruptions, unsigned leaks);

/* What a check says now. */
void mender_leaves(struct mender *m, const char *text);

#endif
