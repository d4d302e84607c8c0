/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure.h - the size of an image before it is created, as in struct format. */
#ifndef VDISK_DRIVER_QCOW2_MEASURE_H
#define VDISK_DRIVER_QCOW2_MEASURE_H

#include <stdint.h>

struct err;
struct measured;
struct view;

int qcow2_measure(const struct view *disk, uint64_t size, struct measured *m, struct err *e);

#endif
