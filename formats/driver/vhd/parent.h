/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent.h - how a differencing disk names and recognises its parent. */
#ifndef VDISK_DRIVER_VHD_PARENT_H
#define VDISK_DRIVER_VHD_PARENT_H

#include <stdbool.h>

struct err;
struct image;

#define VHD_ID_TEXT 37
void vhd_parent_id_text(char text[VHD_ID_TEXT], const unsigned char *id);

/* Adds the names that a header has for the parent of img. */
int vhd_parent_add_names(struct image *img, const unsigned char *header, struct err *e);

/* As knows_parent and check_parent of struct format. */
bool vhd_parent_knows(const struct image *img, const struct image *other);
int vhd_parent_check(const struct image *img, const struct image *parent, struct err *e);

#endif
