/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vbox.h - VirtualBox's description of a machine, NAME.vbox. */
#ifndef VDISK_MACHINE_VBOX_H
#define VDISK_MACHINE_VBOX_H

struct err;
struct io;
struct machine;

/* Reads all of io.  The media are in the order of the file, each after the one it is based on, and
 * the snapshots each after the one that it was taken on.  A disk is named by the file of its
 * medium; one that is registered elsewhere is a medium called {UUID}.vdi, after those that are
 * registered here. */
int vbox_read(struct io *io, struct machine **m, struct err *e);

#endif
