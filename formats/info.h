/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.h - an image as JSON, with the keys of qemu-img info --output=json. */
#ifndef VDISK_INFO_H
#define VDISK_INFO_H

#include <stddef.h>

struct err;
struct image;

/* The text for one state of the image (0 live), ending in a newline; malloc'ed; NULL on failure. */
char *info_json(const struct image *img, size_t state, struct err *e);

#endif
