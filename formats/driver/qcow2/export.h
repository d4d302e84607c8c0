/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.h - a disk shown as a qcow2 file. */
#ifndef VDISK_DRIVER_QCOW2_EXPORT_H
#define VDISK_DRIVER_QCOW2_EXPORT_H

extern const struct export_format qcow2_export;

#endif
