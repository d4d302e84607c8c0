/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qed.h - private to the QED driver: driver.c opens and maps, check.c finds damage. */
#ifndef VDISK_DRIVER_QED_QED_H
#define VDISK_DRIVER_QED_QED_H

#include <stdint.h>

#include "driver/common/l2map.h"
#include "view/view.h"

struct check_report;
struct err;
struct image;

#define QED_ENTRY_ZERO  1u  /* an L2 entry: zeroes, whatever the parent has */
#define QED_AT_FEATURES 16u /* in the header */

enum qed_feature {
	QED_BACKING_FILE = 1u << 0,
	QED_NEED_CHECK = 1u << 1,
	QED_BACKING_IS_RAW = 1u << 2,
	QED_KNOWN_FEATURES = (1u << 3) - 1,
};

struct qed {
	struct view view;
	struct l2map tables;
	uint64_t header_len; /* bytes of the clusters of the header */
	uint64_t features;
};

/* check.c, as in struct format */
int qed_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

#endif
