/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map-picture.h - draws where the data of a disk is stored in the images of its chain. */
#ifndef VDISK_TOOLS_VERB_MAP_PICTURE_H
#define VDISK_TOOLS_VERB_MAP_PICTURE_H

#include <stdint.h>

struct input;

/* Draws [start, end) to file as SVG; NULL: to the terminal, as text.  Returns the exit status. */
int map_picture_draw(const struct input *input, uint64_t start, uint64_t end, const char *file);

#endif
