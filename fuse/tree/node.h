/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* node.h - nodes: their life, their names, and the image that they belong to. */
#ifndef VDISKFS_TREE_NODE_H
#define VDISKFS_TREE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "types.h"

struct image;
struct new_image;

/* A node below parent (NULL: the root), held once; NULL without memory. */
struct node *node_new(
	struct tree *tree, struct node *parent, enum node_kind kind, const char *name);

struct node *node_get(struct node *node);

/* Drops n references. */
void node_put(struct node *node, uint64_t n);

/* Frees a node without dropping its reference to the parent; for tree_free. */
void node_free(struct node *node);

/* Marks a node that has left its list; with the tree's lock held. */
void node_set_gone(struct node *node);

/* May the old node take the place of the new one in a list that was generated again? */
bool node_is_same(const struct node *old, const struct node *new);

/* S_IFREG, S_IFDIR or S_IFLNK. */
mode_t node_type(const struct node *node);

/* The path within the mount, for messages; truncated to fit. */
void node_path(const struct node *node, char *buf, size_t size);

/* Is it the directory of a whole image, package or folder?  It shows any generation of its image.
 */
bool node_is_top(const struct node *node);

/* The top that the node is below, or is. */
struct node *node_top(const struct node *node);

/* Does the node show a state that can be written through the node itself?  Or through the node or
 * another one: layer 0 of the chain shows the same state as the image? */
bool node_is_live(const struct node *node);
bool node_can_change(const struct node *node);

/* Does the list of a directory stay the same for as long as the directory is in the tree? */
bool node_list_stays(const struct node *node);

/* The image that was created in this mount, by its directory, or by its disk; NULL: any other. */
struct new_image *node_get_new_image(const struct node *node);
struct new_image *node_get_new_disk(const struct node *node);

/* The path in the host of a NODE_FOLDER, and of name in it (malloc'ed or NULL). */
const char *node_host_dir(const struct node *dir);
char *node_host_path(const struct node *dir, const char *name);

/* Is it the directory of the image in the file path of the host, or of the disk of a machine that
 * lies there? */
bool node_is_image_of(const struct node *node, const void *path);

/* Is it a NODE_FOLDER that was read from the directory path of the host? */
bool node_shows_dir(const struct node *node, const char *path);

#endif
