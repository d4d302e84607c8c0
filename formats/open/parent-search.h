/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent-search.h - finding the parent of an image by the id that the image records: the file may
 * have any name.
 */
#ifndef VDISK_OPEN_PARENT_SEARCH_H
#define VDISK_OPEN_PARENT_SEARCH_H

#include <stdbool.h>

struct err;
struct vbox_registry;
struct image;
struct io;

/* Takes io, also on failure: an image of this format, NULL for not known, that matches the record
 * of the child.  registered: it has no id of its own, but a machine registers it under the id that
 * is looked for.  0: it is the parent. */
typedef int parent_search_take(
	void *arg, struct io *io, const char *format, bool registered, struct err *e);

/* Searches for the parent of img, the last image of the chain of top, by the id that img records:
 * where the machines that img belongs to register it, then under the name that VirtualBox gives to
 * files of this id, then among all images in the directory of img, in those of the machine's
 * snapshots and in those that the user gave, and last in the directories below these.  take
 * decides; a file that it refuses or that cannot be opened is ignored.  The error is that of the
 * first file with the id, names two files when the id does not tell which is meant, or lists the
 * directories that were searched: ENOENT. */
int parent_search_find(const struct image *top, struct image *img, struct vbox_registry *machines,
	parent_search_take *take, void *arg, struct err *e);

/* Refuses an image whose bytes are not the disk's according to a description beside it. */
int parent_search_check_image(
	const struct image *img, struct vbox_registry *machines, struct err *e);

#endif
