/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock-holder.h - finds the mount that has a file locked. */
#ifndef VDISK_TOOLS_LIB_LOCK_HOLDER_H
#define VDISK_TOOLS_LIB_LOCK_HOLDER_H

/* The mount point for file, or for a directory that contains it; malloc'ed.  NULL: not found, for
 * example because file is only a parent of the mounted image. */
char *lock_holder_mount(const char *file);

#endif
