/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-machine.h - the disks of a machine in a directory. */
#ifndef VDISK_OPEN_FOLDER_MACHINE_H
#define VDISK_OPEN_FOLDER_MACHINE_H

struct err;
struct folder;
struct folder_known;
struct machine;

/* Adds the disks of a machine, and claims their files.  known: the images with the ids in its
 * description; NULL: it has no ids. */
int folder_machine_add(
	struct folder *f, const struct machine *m, struct folder_known *known, struct err *e);

#endif
