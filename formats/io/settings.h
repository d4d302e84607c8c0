/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings.h - the directories that images may refer to in every run, as the user has set them.
 *
 * /etc/vdiskfs.conf and vdiskfs.conf in $XDG_CONFIG_HOME or ~/.config have lines "allow = DIR"; a
 * line that begins with "#" is a comment.  VDISK_ALLOW has directories separated by colons.  For
 * the programs: the library has no settings but the options of its callers.
 */
#ifndef VDISK_IO_SETTINGS_H
#define VDISK_IO_SETTINGS_H

struct err;
struct string_list;

/* Appends those of the directories that are there.  A line or an entry that is not understood is
 * EINVAL, by file and line. */
int settings_add_allowed(struct string_list *dirs, struct err *e);

#endif
