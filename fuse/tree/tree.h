/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree.h - the files and directories of a mount, and how they come and go.
 *
 * Every directory that holds a disk.raw - the mount itself, a snapshot, a layer of the chain, an
 * image in a directory that is mounted - is the same kind of thing.  A directory is listed when
 * somebody first looks into it: partition tables, labels and a long list of snapshots cost nothing
 * until then.
 *
 * A list never changes: a directory whose content does gets another one, made anew by tree_refresh
 * (what is still there stays the same node) or when somebody next looks (tree_reset).  Both note
 * which names the kernel must forget; tree_tell says them.  A node that is in no list any more is
 * gone: it stays valid for whoever holds it, and has nothing in it.
 *
 * Nodes are counted.  The list that a node is in holds it, and so does each of its children; the
 * kernel holds it as often as it was told its number; so does whoever called node_get.
 *
 * Locks: one mutex for all lists, held for moments, never while a list is made or anything is asked
 * of an image.  Two threads that want the same list wait for one to make it.
 */
#ifndef VDISKFS_TREE_TREE_H
#define VDISKFS_TREE_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "partition/filesystem.h"
#include "partition/partition.h"
#include "image-pool.h"

struct access;
struct err;
struct exports;
struct folder;
struct folder_entry;
struct new_image;
struct image;
struct image_options;
struct export_format;
struct log;
struct tree;
struct view;

enum node_kind {
	NODE_FOLDER,     /* directory: one of the host's */
	NODE_PACKAGE,    /* directory: its disk, or one directory for each of its disks */
	NODE_IMAGE,      /* directory: an image - the root, in a folder, or a layer of the chain */
	NODE_SNAPSHOT,   /* directory: a state that is not the live one */
	NODE_SNAPSHOTS,  /* directory of snapshots */
	NODE_CHAIN,      /* directory of layers */
	NODE_PARTITIONS, /* directory of partitions and of ways to call them */
	NODE_LINKS,      /* directory: one such way */
	NODE_DISK,       /* file: the disk of a state */
	NODE_VMSTATE,    /* file: the saved machine */
	NODE_PARTITION,  /* file */
	NODE_INFO,       /* file: text, made when asked for */
	NODE_ERROR,      /* file: why a directory has no disk in it */
	NODE_LINK,       /* symbolic link to a partition */
	NODE_EXPORTS,    /* directory of the disk in other formats */
	NODE_EXPORT,     /* file: one of them */
};

/* What a partition's file shows. */
struct part {
	const struct partition *entry; /* of the directory's table */
	struct filesystem id;
};

/* Where a directory of the tree comes from in a directory of the host. */
struct place {
	struct folder *of; /* held; NULL: from nowhere there */
	const struct folder_entry *entry;
	size_t shot; /* of the entry's, from 1 on; 0: the entry as it is now */
};

struct node {
	enum node_kind kind;
	struct tree *tree;
	atomic_uint refs;
	atomic_bool gone;
	struct node *parent; /* held; the root's is itself */
	struct node *home;   /* the state it shows a part of: the directory with the disk.raw, which
			      * is the node itself or above it; NULL: of none */
	char *name;
	uint64_t ino;
	struct timespec when;
	atomic_uint readers;        /* see base/access.h; of a top, as far as it is known */
	struct pooled_image *image; /* held; NULL: of no image */
	unsigned generation;        /* of the source; ANY_GENERATION: of a top, see node_is_top */
	struct place place;

	/* Of a home: */
	unsigned layer;     /* in the chain, 0 the top */
	unsigned state;     /* of that image, by number */
	atomic_uint opened; /* files that show something of it */

	bool any_case; /* NODE_LINKS: a name is found in capital and in small letters */

	/* Of directories, by the tree's lock: */
	struct dir *dir; /* what is in it; NULL: nobody looked yet */
	bool listing;    /* somebody makes the list */
	unsigned resets; /* how often all of it was dropped */
	bool retry;      /* the list tells of an error: it is made anew for who looks next */

	/* Of files: */
	_Atomic uint64_t measured;   /* NODE_INFO: bytes; others: bytes stored; or UNMEASURED */
	atomic_uint measured_at;     /* how often what is shown had changed then */
	_Atomic int64_t good_until;  /* monotonic ns; so long it is good enough anyway */
	struct derived_view derived; /* the view of those that are no view of the image itself */

	union {
		struct part *part;             /* NODE_PARTITION; owned */
		struct partition_table *table; /* NODE_PARTITIONS; owned */
		char *text;                    /* NODE_LINK: what it says; NODE_ERROR; owned */
		struct folder *folder;   /* NODE_FOLDER: as it was read last, by the tree's lock;
					  * held */
		struct exports *exports; /* NODE_EXPORTS; owned */
		const struct export_format *layout; /* NODE_EXPORT */
	};
	struct node *next_gone, **link_gone, *next_found; /* private */
};

#define UNMEASURED UINT64_MAX

/* What a directory holds, by name. */
struct dir {
	atomic_uint refs;
	struct dir *next; /* private */
	size_t n;
	struct node *nodes[]; /* held */
};

/* A tree that shows one image.  Takes the source, also on failure. */
struct tree *tree_new(struct pooled_image *source, struct log *log, struct err *e);

/* A tree that shows a directory of the host and all that is below it.  What is borrowed must
 * outlive it. */
struct shown_dir {
	const char *path; /* without links */
	struct image_pool *pool;
	const struct image_options *how;
	uint64_t size; /* bytes of the file system that it lies in */
	/* Is told of each directory of the host whose content shows, before it is read.  True: it
	 * was not watched before. */
	bool (*watch)(void *arg, const char *path);
	void *watch_arg;
};
struct tree *tree_new_dir(const struct shown_dir *dir, struct log *log, struct err *e);
void tree_free(struct tree *tree); /* with all nodes, whoever holds them; NULL is fine */

/* The group of the mount, unless it is that of the process; before the first request. */
void tree_set_group(struct tree *tree, gid_t group);

struct node *tree_root(struct tree *tree);

/* What statvfs(3) says of the mount. */
void tree_statvfs(const struct tree *tree, struct statvfs *st);

/* Live states can be written: of the image at the root, or of all images in a directory.  Before
 * the first request. */
void tree_make_writable(struct tree *tree);

/* It has been written: sizes and times are others now. */
void tree_changed(struct tree *tree);

/* Snapshots came or went of the image that node shows something of: what lists them is made anew,
 * as by tree_refresh. */
int tree_snapshots_changed(struct tree *tree, const struct node *node);

/* What there is to know of an image that was made in this mount, by its directory, or by its disk;
 * NULL: it is none. */
struct new_image *node_get_new_image(const struct node *node);
struct new_image *node_get_new_disk(const struct node *node);

/* Is the node of a state that may be written: by this very name, or by any? */
bool node_is_live(const struct node *node);
bool node_can_change(const struct node *node);

/* What is in a directory, made if need be; to be given back.  -ENOTDIR, -ENOMEM, -ESTALE: gone. */
int tree_list(struct tree *tree, struct node *node, struct dir **dir);
void tree_unlist(struct tree *tree, struct dir *dir);

/* The entry of node that is what arg says, held, in *found; NULL when there is none. */
typedef bool tree_is_fn(const struct node *node, const void *arg);
int tree_find(
	struct tree *tree, struct node *node, tree_is_fn *is, const void *arg, struct node **found);

/* The entry of node called name, held, in *found; NULL when there is none. */
int tree_lookup(struct tree *tree, struct node *node, const char *name, struct node **found);

struct node *node_get(struct node *node);

/* Gives back n holds. */
void node_put(struct tree *tree, struct node *node, uint64_t n);

/* The content of a directory has changed: makes its list anew, if there was one.  Names that are
 * new, gone, or mean something else now are noted for the kernel. */
int tree_refresh(struct tree *tree, struct node *node);

/* All that is below a directory is gone; the list is made when somebody looks. */
void tree_reset(struct tree *tree, struct node *node);

/* Visits all tops and all directories of the host that are in some list now, each held meanwhile.
 * For one thread at a time. */
typedef void tree_visit_fn(void *arg, struct node *node);
void tree_each_top(struct tree *tree, tree_visit_fn *visit, void *arg);

/* What name is, or would be, in the directory of the host that a NODE_FOLDER shows; malloc'ed or
 * NULL. */
char *node_host_path(const struct node *dir, const char *name);

/* Is it the directory of the image, or the disk of a machine, that is in this file? */
bool node_is_image_of(const struct node *node, const void *path);

/* The directory of the host that a NODE_FOLDER shows, and was it read because of path? */
bool node_shows_dir(const struct node *node, const char *path);

/* Resets a top that just shows an error, so that it is tried again. */
void tree_retry(struct tree *tree, struct node *top);

/* How many lists have been made that just show an error, since the last call. */
unsigned tree_errors(struct tree *tree);

/* Calls tell for each name noted since the last call, one a time, in order.  Must not be called
 * while a request is answered, on which what the kernel does then may wait. */
typedef void tree_tell_fn(void *arg, struct node *dir, const char *name);
void tree_tell(struct tree *tree, tree_tell_fn *tell, void *arg);

/* Calls wake whenever there is something to tell.  Before any other thread is started. */
void tree_on_change(struct tree *tree, void (*wake)(void *arg), void *arg);

/* The entry called name, or NULL. */
struct node *dir_find(const struct dir *dir, const char *name);

/* The directory that shows what a whole source has, opened by a pin of whatever generation. */
bool node_is_top(const struct node *node);

/* What a node shows something of. */
struct shown {
	const struct image *top; /* of the chain; NULL: nothing */
	const struct image *img; /* at its layer; likewise */
	struct state *state;     /* held */
};

/* Pins the image; node_unpin gives it back.  -ESTALE: the image has changed since, and its
 * directory has been reset, or the snapshot is no more. */
int node_pin(const struct node *node, struct shown *shown, struct err *e);
void node_unpin(const struct node *node, const struct shown *shown);

/* The same for as long as a file is open: see pooled_image_hold. */
int node_hold(const struct node *node, bool writes, struct shown *shown, struct err *e);
void node_unhold(const struct node *node, const struct shown *shown);

/* The bytes of a file, as long as it is pinned.  *view NULL: it is text, or no file. */
int node_view(struct node *node, const struct shown *shown, struct view **view, struct err *e);

/* The text of a file that is text, malloc'ed; likewise, but of a NODE_ERROR nothing is shown. */
char *node_text(const struct node *node, const struct shown *shown, struct err *e);

/* As stat(2) says it.  Counts what is stored if nobody did yet, which may
 * walk all tables of the image. */
int node_stat(struct node *node, const struct access *access, struct stat *st);

/* Is less stored of a file than its view has, as far as that was counted? */
bool node_has_holes(const struct node *node, const struct view *view);

/* Is the list of a directory the same for as long as it is in the tree? */
bool node_list_stays(const struct node *node);

/* Would node_stat be quick? */
int node_is_measured(const struct node *node);

mode_t node_type(const struct node *node);

/* The path within the mount, for messages; cut to fit. */
void node_path(const struct node *node, char *buf, size_t size);

/* A layer as directories and attributes call it, "0-disk.qcow2"; malloc'ed or NULL. */
char *layer_name(const struct image *img, unsigned layer);

#endif
