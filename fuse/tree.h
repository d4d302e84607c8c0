/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree.h - the files and directories that show an image.
 *
 * Every directory that holds a disk.raw - the mount itself, a snapshot, a layer of the chain - is
 * the same kind of thing.  A directory is filled when somebody first looks into it: partition
 * tables, labels and a long list of snapshots cost nothing until then.  What is there once never
 * changes and stays until tree_free, so a pointer to a node may be given away (to the kernel).
 *
 * Locks: one mutex, held while a directory is being filled; filled ones are read without.
 */
#ifndef VDISK_TREE_H
#define VDISK_TREE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fsid.h"
#include "ptable.h"

struct dir;
struct err;
struct image;
struct log;
struct tree;
struct view;

enum node_kind {
	NODE_IMAGE,      /* directory: an image - the root, or a layer of the chain */
	NODE_SNAPSHOT,   /* directory: a state that is not the live one */
	NODE_SNAPSHOTS,  /* directory of snapshots */
	NODE_CHAIN,      /* directory of layers */
	NODE_PARTITIONS, /* directory of partitions and of ways to call them */
	NODE_LINKS,      /* directory: one such way */
	NODE_DISK,       /* file: the disk of a state */
	NODE_VMSTATE,    /* file: the saved machine */
	NODE_PARTITION,  /* file */
	NODE_INFO,       /* file: text, made when asked for */
	NODE_LINK,       /* symbolic link to a partition */
};

/* What a partition's file shows. */
struct part {
	const struct partition *entry;
	struct fsid id;
	struct view *view; /* owned */
};

struct node {
	enum node_kind kind;
	unsigned layer; /* of img in the chain, 0 the top */
	const struct image *img;
	size_t state;        /* of img */
	struct node *parent; /* the root's is itself */
	char *name;
	uint64_t ino;
	_Atomic(struct dir *) dir; /* directories: what is in them; NULL: nobody looked yet */
	_Atomic uint64_t measured; /* NODE_INFO: bytes; other files: bytes stored; or UNMEASURED */
	union {
		const struct view *view;   /* NODE_DISK, NODE_VMSTATE */
		struct part *part;         /* NODE_PARTITION; owned */
		struct ptable *table;      /* NODE_PARTITIONS; owned */
		const struct node *target; /* NODE_LINK */
	};
};

#define UNMEASURED UINT64_MAX

/* What a directory holds, by name. */
struct dir {
	size_t n;
	struct node *nodes[];
};

/* img is shown with state as its live state, and must outlive the tree. */
struct tree *tree_new(const struct image *img, size_t state, struct log *log, struct err *e);
void tree_free(struct tree *tree); /* NULL is fine */

struct node *tree_root(struct tree *tree);

/* What is in a directory, filled if need be.  -ENOTDIR, -ENOMEM. */
int tree_list(struct tree *tree, struct node *node, const struct dir **dir);

/* The entry called name, or NULL. */
struct node *dir_find(const struct dir *dir, const char *name);

/* As stat(2) says it, but st_uid and st_gid.  Counts what is stored if nobody did yet, which may
 * walk all tables of the image. */
int node_stat(struct node *node, struct stat *st);

/* Would node_stat be quick? */
int node_is_measured(const struct node *node);

mode_t node_mode(const struct node *node);

/* The bytes of a file, or NULL for NODE_INFO and what is no file. */
const struct view *node_view(const struct node *node);

/* Where a symbolic link leads; malloc'ed or NULL. */
char *node_readlink(const struct node *node);

/* The path within the mount, for messages; cut to fit. */
void node_path(const struct node *node, char *buf, size_t size);

/* A layer as directories and attributes call it, "0-disk.qcow2"; malloc'ed or NULL. */
char *layer_name(const struct image *img, unsigned layer);

#endif
