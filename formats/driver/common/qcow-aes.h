/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow-aes.h - the encryption that qcow had from the start and qcow2 before LUKS: sectors by
 * AES-128 in CBC mode, numbered from the start of the disk. */
#ifndef VDISK_DRIVER_COMMON_QCOW_AES_H
#define VDISK_DRIVER_COMMON_QCOW_AES_H

struct crypt;
struct err;
struct image;

/* Makes the cipher of a passphrase of the options, and warns that nothing tells whether it is the
 * right one.  -ENOKEY: there is none. */
int qcow_aes_unlock(const struct image *img, struct crypt **crypt, struct err *e);

#endif
