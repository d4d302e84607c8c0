/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow-aes.h - the encryption of qcow, and of qcow2 before LUKS: AES-128 in CBC mode, with sectors
 * numbered from the start of the disk. */
#ifndef VDISK_DRIVER_COMMON_QCOW_AES_H
#define VDISK_DRIVER_COMMON_QCOW_AES_H

struct crypt;
struct err;
struct image;

/* Makes the cipher from a passphrase of the options, and warns that a wrong passphrase cannot be
 * detected.  -ENOKEY: there is none. */
int qcow_aes_unlock(const struct image *img, struct crypt **crypt, struct err *e);

#endif
