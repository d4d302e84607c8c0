/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vbox-registry.h - where an image lives: the folder of a machine, its folder for snapshots, and
 * the .vbox files in them that say which image is what.
 *
 * Who made an image need not have made its surroundings.  Descriptions are opened only in a
 * directory that the image lies in, or in the one above, and what they say is no more than a name
 * in an image is: a name to be tried.
 */
#ifndef VDISK_OPEN_VBOX_REGISTRY_H
#define VDISK_OPEN_VBOX_REGISTRY_H

struct image;
struct machine;

/* The machines of directories that were asked for, each read once; {0} knows none. */
struct vbox_registry {
	struct home *first;
};

void vbox_registry_free(struct vbox_registry *h);

/* Anything but 0 ends the visit and is returned. */
typedef int vbox_registry_visit_fn(void *arg, const char *dir, const struct machine *m);

/* Visits the machines that files in dir describe, in order of their names: NAME.vbox, or
 * NAME.vbox-prev where that is missing or cannot be read.  tell: the image that is told of one that
 * cannot, if none was before; may be NULL. */
int vbox_registry_visit(struct vbox_registry *h, const char *dir, const struct image *tell,
	vbox_registry_visit_fn *visit, void *arg);

/* The directory above dir, malloc'ed, when dir is where a machine there keeps its snapshots: it is
 * called so by default, or one of the machines says so.  NULL: it is not. */
char *vbox_registry_above(struct vbox_registry *h, const char *dir);

#endif
