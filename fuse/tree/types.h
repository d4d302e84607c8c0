/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* types.h - a tree, its nodes and their lists.
 *
 * Nodes are counted.  The list that a node is in holds it, and so does each of its children; the
 * kernel holds it once for each lookup that it has not yet forgotten.  A node that has left its
 * list is gone: it stays valid as long as it is held, and its directory is empty.
 *
 * A list never changes: a directory whose content changes gets another list.
 */
#ifndef VDISKFS_TREE_TYPES_H
#define VDISKFS_TREE_TYPES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "partition/filesystem.h"
#include "partition/partition.h"
#include "pooled-image.h"

struct stale_name;
struct err;
struct export_format;
struct exports;
struct file;
struct folder;
struct folder_entry;
struct image_options;
struct log;
struct tree;
struct volume;
struct volume_set;

#define NSEC INT64_C(1000000000) /* in a second */

/* max_write of the mount, the longest write that the kernel sends; and st_blksize of a disk that
 * can be written. */
#define WRITE_MAX (1u << 20)

enum node_kind {
	NODE_FOLDER,     /* directory of the host */
	NODE_PACKAGE,    /* directory: the only disk of a package, or one directory for each disk */
	NODE_IMAGE,      /* directory: an image - the root, in a folder, or a layer of the chain */
	NODE_SNAPSHOT,   /* directory: a state other than the live one */
	NODE_SNAPSHOTS,  /* directory of snapshots */
	NODE_CHAIN,      /* directory of layers */
	NODE_PARTITIONS, /* directory of partitions and of NODE_LINKS */
	NODE_VOLUMES,    /* directory of volumes */
	NODE_SPANNING,   /* directory of volumes that lie on several disks, beside these */
	NODE_LINKS,      /* directory of links to partitions and volumes by label or UUID */
	NODE_DISK,       /* file: the disk of a state */
	NODE_VMSTATE,    /* file: the saved memory of the virtual machine */
	NODE_PARTITION,  /* file */
	NODE_VOLUME,     /* file */
	NODE_INFO,       /* file: text, generated when it is read */
	NODE_ERROR,      /* file: the reason why a directory has no disk in it, or a volume cannot
			  * be read */
	NODE_LINK,       /* symbolic link to a partition, a volume or a NODE_LINKS */
	NODE_EXPORTS,    /* directory of the disk in other formats */
	NODE_EXPORT,     /* file: the disk in another format */
};

/* The names of a NODE_LINKS. */
enum link_key { LINK_LABEL, LINK_UUID, LINK_PARTLABEL, LINK_PARTUUID, NLINK_KEYS };

/* The content of a NODE_PARTITION. */
struct node_partition {
	const struct partition *entry; /* of the table of the directory */
	struct filesystem id;
};

/* The content of a NODE_VOLUME. */
struct node_volume {
	const struct volume *entry;
	struct volume_set *set; /* that has it; held */
	struct filesystem id;
};

/* The origin of a directory of the tree in a directory of the host. */
struct host_place {
	struct folder *folder; /* held; NULL: the node has none */
	const struct folder_entry *entry;
	size_t snapshot; /* number of a snapshot of the entry, from 1 on; 0: the entry itself */
};

/* The content of a directory, sorted by name. */
struct dir {
	atomic_uint refs;
	SLIST_ENTRY(dir) garbage; /* private to tree.c */
	size_t n;
	struct node *nodes[]; /* held */
};

struct node {
	enum node_kind kind;
	struct tree *tree;
	atomic_uint refs;
	atomic_bool gone;
	struct node *parent;    /* held; the parent of the root is the root */
	struct node *state_dir; /* the directory with the disk.raw of the state that the node shows
				 * a part of: the node itself or one above it; NULL: no state */
	char *name;
	uint64_t ino;
	struct timespec mtime;
	atomic_uint readers; /* see base/access.h; of a top it is known once the image was opened */
	struct pooled_image *image; /* held; NULL: none */
	unsigned generation;        /* of the image; ANY_GENERATION: of a top, see node_is_top */
	struct host_place place;

	/* For a state_dir: */
	unsigned layer;         /* in the chain, 0 is the top */
	unsigned state;         /* its number in that image */
	atomic_uint open_files; /* that show a part of the state */

	/* NODE_LINKS: */
	enum link_key link_key;
	bool ignores_case; /* lookup takes a name in capital or in small letters */

	/* For directories, with the tree's lock: */
	struct dir *dir; /* NULL: not listed yet */
	bool listing;    /* a thread generates the list */
	unsigned resets; /* how often the list was dropped: a list begun before is discarded */
	bool retry;      /* the list shows an error: the next lookup generates it again */

	/* For files: */
	_Atomic uint64_t stored;     /* NODE_INFO: its size; others: bytes stored; or NOT_COUNTED */
	atomic_uint counted_at;      /* tree->changes at that time */
	_Atomic int64_t good_until;  /* monotonic ns: until then stored is used despite changes */
	struct derived_view derived; /* of a NODE_PARTITION, NODE_VOLUME or NODE_EXPORT */

	union {
		struct node_partition *part;   /* NODE_PARTITION; owned */
		struct node_volume *volume;    /* NODE_VOLUME; owned */
		struct partition_table *table; /* NODE_PARTITIONS; owned */
		char *text;                    /* NODE_LINK: its target; NODE_ERROR; owned */
		struct folder *folder;   /* NODE_FOLDER: as read last, by the tree's lock; held */
		struct exports *exports; /* NODE_EXPORTS; owned */
		const struct export_format *export; /* NODE_EXPORT */
	};
	LIST_ENTRY(node) gone_entry;  /* of tree->gone */
	STAILQ_ENTRY(node) top_entry; /* private to tree_each_top */
};

#define NOT_COUNTED UINT64_MAX

/* A directory of the host that is mounted.  The pointers must outlive the tree. */
struct shown_dir {
	const char *path; /* without links */
	struct image_pool *pool;
	const struct image_options *how;
	uint64_t size; /* bytes of the file system that the directory lies in */
	/* Called with each directory of the host whose content is shown, before it is read.  True:
	 * the directory was not watched before. */
	bool (*watch)(void *arg, const char *path);
	void *watch_arg;
};

/* Generates the list of a directory; held once in *dir. */
typedef int tree_fill_fn(struct node *node, struct dir **dir);

struct tree {
	struct node *root;
	struct shown_dir dir; /* of NODE_FOLDERs */
	tree_fill_fn *fill;
	uint64_t size;
	struct log *log;
	pthread_mutex_t lock;
	pthread_cond_t listed;                      /* a list was generated */
	atomic_uint errors;                         /* see tree_errors */
	LIST_HEAD(gone_nodes, node) gone;           /* nodes that are gone and still held */
	LIST_HEAD(open_files, file) files;          /* open ones */
	STAILQ_HEAD(stale_names, stale_name) names; /* for the kernel to forget */
	void (*wake)(void *arg);
	void *wake_arg;
	bool writable;
	gid_t group;              /* of the mount */
	atomic_uint changes;      /* of live states */
	_Atomic int64_t wrote_at; /* time of the last change, in ns since 1970 */
};

#endif
