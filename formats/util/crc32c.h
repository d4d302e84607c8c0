/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crc32c.h - the CRC-32 of Castagnoli's polynomial (RFC 3720, appendix B.4); zlib has the other. */
#ifndef VDISK_UTIL_CRC32C_H
#define VDISK_UTIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of len bytes after the data with the checksum crc; 0: no data. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
