/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder.h - a directory of the host as a list of disks.
 *
 * Image files are recognised by their names, others by their first bytes; nothing is opened as an
 * image.  A machine that files describe (.vmx, .vbox, .ovf) has one entry for each of its disks,
 * with the snapshots that the machine has of it.  Files that belong to an entry - extents, chunks
 * of a package, parents of a machine's disk - are claimed and are no entries.
 *
 * A description may come from any author: names in it are opened through the gate, like names in
 * an image.
 */
#ifndef VDISK_OPEN_FOLDER_H
#define VDISK_OPEN_FOLDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "io/gate.h"
#include "util/string-list.h"

struct image_options;

enum folder_kind {
	FOLDER_IMAGE,   /* one image: a file, or a directory that is one as a whole */
	FOLDER_PACKAGE, /* an .ova or .ovf file */
	FOLDER_SUB,     /* a directory that has such entries in its turn */
};

/* The snapshot of a disk that a machine has. */
struct folder_snapshot {
	char *name; /* given by the user: may be empty, and two may have the same */
	char *path;
	char *refusal; /* as of an entry */
	struct timespec when;
	size_t parent; /* number of the snapshot that it is based on, from 1 on; 0: none */
};

struct folder_entry {
	enum folder_kind kind;
	char *name;     /* of its file; of a machine's disk: of the file that it began as */
	char *path;     /* absolute: what to open */
	bool described; /* path and those of the snapshots come from a description */
	char *refusal;  /* the reason why it cannot be shown, by the description; or NULL */
	size_t nsnapshots;
	struct folder_snapshot *snapshots; /* each after the one that it is based on */
};

struct folder {
	atomic_uint refs;
	char *path; /* absolute, without links */
	size_t n;
	struct folder_entry *entries; /* by name; names may repeat */
	struct string_list empty;     /* directories below without an entry */
	/* Private: */
	struct string_list claims; /* paths of files that belong to an entry */
	size_t nsorted;            /* claims that are sorted */
	const struct image_options *opts;
	struct gate gate; /* to what it shows */
};

/* Shared by counting, from any thread. */
struct folder *folder_ref(struct folder *f);
void folder_unref(struct folder *f); /* NULL is fine */

/* Do both describe the disk alike? */
bool folder_entry_is_same(const struct folder_entry *a, const struct folder_entry *b);

#endif
