/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vbox.h - VirtualBox's description of a machine, NAME.vbox. */
#ifndef VDISK_MACHINE_VBOX_H
#define VDISK_MACHINE_VBOX_H

struct err;
struct io;
struct machine;

/* Reads all of io.  The media are in the order of the file, each after its parent, and each
 * snapshot after the one that it is based on.  A disk has the file of its medium; one that is
 * registered elsewhere gets a medium called {UUID}.vdi, after the registered ones. */
int vbox_read(struct io *io, struct machine **m, struct err *e);

#endif
