/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vbox-registry.h - the media registries of VirtualBox around an image: the .vbox files in the
 * folder of a machine, which list the machine's disks by UUID.
 *
 * The files around an image may have another author than the image.  Descriptions are opened only
 * in the directory of the image and in the one above, and a file name in them is opened through the
 * gate, like one in an image.  A description that cannot be read is ignored: it is no part of the
 * image.
 */
#ifndef VDISK_OPEN_VBOX_REGISTRY_H
#define VDISK_OPEN_VBOX_REGISTRY_H

struct image;
struct machine;

/* The machines of the directories visited so far, each read once; {0}: of none. */
struct vbox_registry {
	struct machine_dir *first;
};

void vbox_registry_free(struct vbox_registry *h);

/* Anything but 0 ends the visit and is returned. */
typedef int vbox_registry_visit_fn(void *arg, const char *dir, const struct machine *m);

/* Visits the machines that files in dir describe, in order of their names: NAME.vbox, or
 * NAME.vbox-prev where that is missing or cannot be read.  warn: the image for which a warning
 * is given of the first description that cannot be read, once; or NULL. */
int vbox_registry_visit(struct vbox_registry *h, const char *dir, const struct image *warn,
	vbox_registry_visit_fn *visit, void *arg);

/* The directory above dir, malloc'ed, when dir is where a machine there keeps its snapshots: it is
 * called so by default, or has the name that one of the machines records.  NULL: it is not. */
char *vbox_registry_above(struct vbox_registry *h, const char *dir);

#endif
