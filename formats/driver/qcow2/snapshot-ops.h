/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-ops.h - internal snapshots created, deleted, renamed and applied. */
#ifndef VDISK_DRIVER_QCOW2_SNAPSHOT_OPS_H
#define VDISK_DRIVER_QCOW2_SNAPSHOT_OPS_H

extern const struct snapshot_ops qcow2_snapshot_ops;

#endif
