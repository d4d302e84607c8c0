/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair-snapshots.h - a damaged snapshot table repaired. */
#ifndef VDISK_DRIVER_QCOW2_REPAIR_SNAPSHOTS_H
#define VDISK_DRIVER_QCOW2_REPAIR_SNAPSHOTS_H

#include "check.h"

/* Writes a new snapshot table beyond the end of the file, with all entries that can be read. */
int qcow2_repair_snapshots(struct qcow2_check *c, struct err *e);

#endif
