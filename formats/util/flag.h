/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flag.h - the words for on and off. */
#ifndef VDISK_UTIL_FLAG_H
#define VDISK_UTIL_FLAG_H

#include <stdbool.h>

/* Sets *on by a word of qemu-img: on, yes, true, y, or off, no, false, n.  False for any other, or
 * NULL. */
bool flag_parse(const char *word, bool *on);

#endif
