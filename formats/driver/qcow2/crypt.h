/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt.h - encrypted images. */
#ifndef VDISK_DRIVER_QCOW2_CRYPT_H
#define VDISK_DRIVER_QCOW2_CRYPT_H

#include <stdint.h>

struct err;
struct extent;
struct facts;
struct image;
struct qcow2;

/* Checks the position of the LUKS header, if there has to be one. */
int qcow2_crypt_check_luks(const struct qcow2 *q, struct err *e);

/* Sets q->crypt, if the image is encrypted. */
int qcow2_crypt_unlock(const struct image *img, struct qcow2 *q, struct err *e);

/* Marks x, which guest offset off maps to, as encrypted. */
int qcow2_crypt_extent(const struct qcow2 *q, uint64_t off, struct extent *x, struct err *e);

void qcow2_crypt_facts(const struct qcow2 *q, struct facts *f);

#endif
