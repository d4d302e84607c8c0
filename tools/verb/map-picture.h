/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map-picture.h - a picture of where data lies and which image of the chain owns it. */
#ifndef VDISK_TOOLS_VERB_MAP_PICTURE_H
#define VDISK_TOOLS_VERB_MAP_PICTURE_H

#include <stdint.h>

struct input;

/* Draws [start, end) into file as SVG, or for the terminal if that is NULL; the exit status. */
int map_picture_draw(const struct input *input, uint64_t start, uint64_t end, const char *file);

#endif
