/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitlocker.h - volumes that Windows encrypts with BitLocker; they can only be read. */
#ifndef VDISK_VOLUME_BITLOCKER_BITLOCKER_H
#define VDISK_VOLUME_BITLOCKER_BITLOCKER_H

struct volume_reader;

extern const struct volume_reader bitlocker_reader;

#endif
