/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmx.h - VMware's description of a machine: NAME.vmx, and NAME.vmsd for its snapshots. */
#ifndef VDISK_MACHINE_VMX_H
#define VDISK_MACHINE_VMX_H

struct err;
struct io;
struct machine;

/* Reads all of vmx, and of vmsd unless it is NULL.  name: of a machine without displayName.  Each
 * snapshot comes after the one that it is based on; there are no media. */
int vmx_read(struct io *vmx, struct io *vmsd, const char *name, struct machine **m, struct err *e);

#endif
