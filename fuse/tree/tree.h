/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree.h - the files and directories of a mount: lists, lookup, and changes.
 *
 * Each directory that holds a disk.raw - the mount itself, a snapshot, a layer of the chain, an
 * image in a directory that is mounted - has the same kind of content.  A directory is listed when
 * it is first looked into, since partition tables, labels and long lists of snapshots take time.
 *
 * A directory whose content changes gets another list: tree_refresh generates it at once and keeps
 * the nodes that are still there; after tree_reset the next lookup generates it.  Both record the
 * names that the kernel must forget, for tree_notify.
 *
 * Locks: one mutex for all lists, which is held for moments only: never while a list is generated
 * or an image is read.  Two threads that need the same list wait for one of them to generate it.
 */
#ifndef VDISKFS_TREE_TREE_H
#define VDISKFS_TREE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/statvfs.h>

#include "types.h"

/* A tree of one image that is open and stays so.  Takes the image, also on failure. */
struct tree *tree_new(
	struct pooled_image *image, tree_fill_fn *fill, struct log *log, struct err *e);

/* A tree of a directory of the host and the directories below. */
struct tree *tree_new_dir(
	const struct shown_dir *dir, tree_fill_fn *fill, struct log *log, struct err *e);

/* Frees all nodes, also those that are still held; NULL is fine. */
void tree_free(struct tree *tree);

/* The group of the mount, and whether live states can be written: of the image at the root, or of
 * all images in a directory.  Before the first request. */
void tree_set_access(struct tree *tree, gid_t group, bool writable);

void tree_statvfs(const struct tree *tree, struct statvfs *st);

/* The list of a directory, generated if need be; release it with tree_unlist.  -ENOTDIR, -ENOMEM;
 * -ESTALE: the directory is gone. */
int tree_list(struct node *node, struct dir **dir);
void tree_unlist(struct dir *dir);

/* The entry of a directory called name, held, in *found; NULL: none. */
int tree_lookup(struct node *node, const char *name, struct node **found);

/* The first entry for which is() is true, held, in *found; NULL: none. */
typedef bool tree_is_fn(const struct node *node, const void *arg);
int tree_find(struct node *node, tree_is_fn *is, const void *arg, struct node **found);

/* A list of n nodes, all NULL, held once; NULL without memory. */
struct dir *tree_dir_new(size_t n);

/* Takes a node that no other thread has seen out of the tree. */
void tree_drop(struct node *node);

/* A live state was written: sizes and times that were counted before are outdated. */
void tree_changed(struct tree *tree);

/* Snapshots of the image that node shows a part of were created, renamed or deleted: refreshes the
 * directories that list them. */
int tree_snapshots_changed(const struct node *node);

/* The content of a directory has changed: generates its list again, if it was listed.  Names that
 * are new, gone, or mean another node now are recorded for the kernel. */
int tree_refresh(struct node *node);

/* Drops the list of a directory and all that is below. */
void tree_reset(struct node *node);

/* Resets a top that only shows an error, so that its image is opened again. */
void tree_retry(struct node *top);

/* How many lists that only show an error were generated since the last call. */
unsigned tree_errors(struct tree *tree);

/* Visits all tops and directories of the host that are listed, each held meanwhile.  For one thread
 * at a time. */
typedef void tree_visit_fn(void *arg, struct node *node);
void tree_each_top(struct tree *tree, tree_visit_fn *visit, void *arg);

/* Calls notify for each name recorded since the last call, in order.  A thread that answers
 * requests must not call it: the kernel may wait for such an answer before it takes the
 * notification. */
typedef void tree_notify_fn(void *arg, struct node *dir, const char *name);
void tree_notify(struct tree *tree, tree_notify_fn *notify, void *arg);

/* Calls wake whenever a name was recorded.  Before any other thread is started. */
void tree_on_change(struct tree *tree, void (*wake)(void *arg), void *arg);

#endif
