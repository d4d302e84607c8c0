/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shown.h - the image, the state and the bytes that a node shows. */
#ifndef VDISKFS_TREE_SHOWN_H
#define VDISKFS_TREE_SHOWN_H

#include "types.h"

struct image;
struct state;
struct view;

struct shown {
	const struct image *top; /* of the chain; NULL: the node shows no image */
	const struct image *img; /* at the node's layer; likewise */
	struct state *state;     /* held */
	enum image_use use;
};

/* Pins the image of a node; shown_unpin drops the pin.  -ESTALE: the image has changed since the
 * node was listed, and its top was reset; or the snapshot was deleted. */
int shown_pin(const struct node *node, enum image_use use, struct shown *shown, struct err *e);
void shown_unpin(const struct node *node, const struct shown *shown);

/* The bytes of a file, valid while the image is pinned.  *view NULL: the node is a text or no file.
 */
int shown_view(struct node *node, const struct shown *shown, struct view **view, struct err *e);

/* The text of a NODE_INFO, while the image is pinned, or of a NODE_ERROR; malloc'ed. */
char *shown_text(const struct node *node, const struct shown *shown, struct err *e);

#endif
