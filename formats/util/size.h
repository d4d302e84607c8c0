/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* size.h - sizes as people write and read them. */
#ifndef VDISK_UTIL_SIZE_H
#define VDISK_UTIL_SIZE_H

#include <stdint.h>

/* Bytes in "64M", "1.5G", "4096", "0x1000": k, M, G, T, P and E are powers of 1024, of either case;
 * "b" is bytes.  A fraction of a byte is 0.  -EINVAL: text is no size; -ERANGE: it is
 * more than 2^63-1 bytes. */
int size_parse(const char *text, uint64_t *bytes);

struct size_text {
	char text[16];
};

/* "64 MiB": three digits, as qemu-img rounds them. */
struct size_text size_text(uint64_t bytes);

#endif
