/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* umount.h - taking down what vdisk mount has put up. */
#ifndef VDISK_TOOLS_VERB_UMOUNT_H
#define VDISK_TOOLS_VERB_UMOUNT_H

/* Lazily, what nobody serves any more. */
void umount_dead(const char *dir);

/* Removes mount points of ours that nobody serves any more or on which nothing is mounted, which
 * are left over from processes that were killed. */
void umount_leftovers(void);

#endif
