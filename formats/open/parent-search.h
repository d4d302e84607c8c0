/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent-search.h - images that know each other by their ids: what the file of a parent is called,
 * its child need not say.
 */
#ifndef VDISK_OPEN_PARENT_SEARCH_H
#define VDISK_OPEN_PARENT_SEARCH_H

#include <stdbool.h>

struct err;
struct vbox_registry;
struct image;
struct io;

/* Takes io, also on failure: an image of this format, NULL for not known, that fits what the child
 * records.  registered: it has no id of its own, but a machine registers it under the one that is
 * looked for.  0: it is the parent. */
typedef int parent_search_take(
	void *arg, struct io *io, const char *format, bool registered, struct err *e);

/* Looks for the parent of img, the last image of the chain of top, by what img records of it: where
 * the machines that img belongs to register it, then under the name that VirtualBox gives to files
 * of this id, then among all images in the directory of img, in those of the machine's snapshots
 * and in those that the user gave, and last in the directories below these.  take decides; a file
 * that it does not want is passed over, as is what cannot be opened.  The error tells of the first
 * that had the id, of two when the id cannot tell which is meant, or where it was looked for:
 * ENOENT. */
int parent_search_find(const struct image *top, struct image *img, struct vbox_registry *homes,
	parent_search_take *take, void *arg, struct err *e);

/* Refuses an image of whose bytes a description beside it says that they are not the disk's. */
int parent_search_check_image(const struct image *img, struct vbox_registry *homes, struct err *e);

#endif
