/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.h - the view that an L1 table maps. */
#ifndef VDISK_DRIVER_QCOW2_MAP_H
#define VDISK_DRIVER_QCOW2_MAP_H

#include <stdint.h>

#include "qcow2.h"

struct err;

/* A view of size bytes that the L1 table at l1_pos maps from guest offset start on. */
struct view *qcow2_map_view(struct qcow2 *q, uint64_t size, uint64_t start, uint64_t l1_pos,
	uint32_t l1_size, struct err *e);

/* The image that a view is a state of; NULL: of none. */
const struct qcow2 *qcow2_map_image(const struct view *v);

#endif
