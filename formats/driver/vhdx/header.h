/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.h - the two headers of a file, of which one is current. */
#ifndef VDISK_DRIVER_VHDX_HEADER_H
#define VDISK_DRIVER_VHDX_HEADER_H

#include "vhdx.h"

#define VHDX_HEADER_LEN 4096u

extern const uint64_t vhdx_header_pos[2];

/* The checksum in the second field of the structure of len bytes at p, of which that field counts
 * as zero. */
uint32_t vhdx_header_checksum(const unsigned char *p, size_t len);

/* Does the structure begin with the signature, and is its checksum right? */
bool vhdx_header_is_valid(const unsigned char *p, size_t len, const char *signature);

/* Sets d->header, and the parts for headers and log. */
int vhdx_header_read(struct vhdx *d, struct err *e);

/* Writes d->header over the older one, durably, so that it is the current one. */
int vhdx_header_write(struct vhdx *d, struct err *e);

/* The same twice, so that both are alike. */
int vhdx_header_write_both(struct vhdx *d, struct err *e);

/* Each fills VHDX_HEADER_LEN bytes of zeroes; the identifier is at the beginning of the file. */
void vhdx_header_encode_identifier(unsigned char *p);
void vhdx_header_encode(unsigned char *h, const struct vhdx_header *header);

#endif
