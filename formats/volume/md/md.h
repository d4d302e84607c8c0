/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* md.h - arrays of Linux md, software RAID. */
#ifndef VDISK_VOLUME_MD_MD_H
#define VDISK_VOLUME_MD_MD_H

extern const struct volume_reader md_reader;

#endif
