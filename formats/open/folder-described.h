/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-described.h - the machines that are described in a directory. */
#ifndef VDISK_OPEN_FOLDER_DESCRIBED_H
#define VDISK_OPEN_FOLDER_DESCRIBED_H

struct err;
struct folder;

/* Adds the disks of the machines, and claims their files and those of packages. */
int folder_described_add(struct folder *f, struct err *e);

#endif
