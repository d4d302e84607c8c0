/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.h - new images, as in struct format. */
#ifndef VDISK_DRIVER_QCOW2_CREATE_H
#define VDISK_DRIVER_QCOW2_CREATE_H

#include "image/creation.h"

int qcow2_create(struct creation *c, struct err *e);
extern const struct create_option qcow2_create_options[];

#endif
