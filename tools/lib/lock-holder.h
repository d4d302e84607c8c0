/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock-holder.h - which mount holds an image. */
#ifndef VDISK_TOOLS_LIB_LOCK_HOLDER_H
#define VDISK_TOOLS_LIB_LOCK_HOLDER_H

/* The mount point of the vdiskfs that shows file, or a directory above it; malloc'ed.  NULL: none
 * is found, as when the file is a backing file of what is shown. */
char *lock_holder_mount(const char *file);

#endif
