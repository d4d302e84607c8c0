/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opened.h - the mounts of vdisk open: views of images, at mount points in the directory
 * $XDG_RUNTIME_DIR/vdiskfs, which ends with the login.
 *
 * A mount point has the name of its image, with the suffix "~2" if another image of that name is
 * open.  An empty directory that is not mounted on is left over from a mount that has ended.
 */
#ifndef VDISK_TOOLS_LIB_OPENED_H
#define VDISK_TOOLS_LIB_OPENED_H

#include <stdbool.h>

struct err;
struct mount_table;
struct mounted;

/* The path of the directory, without symbolic links; malloc'ed.  NULL: there is no
 * XDG_RUNTIME_DIR, or another user can write to it. */
char *opened_parent(struct err *e);

/* The mount of image, a path without symbolic links, in parent; NULL: none. */
const struct mounted *opened_find(
	const struct mount_table *m, const char *parent, const char *image);

/* Is x such a mount? */
bool opened_has(const char *parent, const struct mounted *x);

/* Creates a mount point for image in parent, whose lock is held; malloc'ed, or NULL. */
char *opened_new_dir(
	const struct mount_table *m, const char *parent, const char *image, struct err *e);

#endif
