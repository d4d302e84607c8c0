/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder.h - a directory of the host as a list of disks: what of it is worth showing.
 *
 * Image files are known by their names, others by their first bytes; nothing is opened as an image.
 * Where files describe a machine (.vmx, .vbox, .ovf) each of its disks is one entry, with the
 * snapshots that the machine has of it; and files that are a part of something else - extents,
 * pieces of a package, what a machine's disk is based on - are no entries.
 *
 * What is in such a directory need not be made by its owner: descriptions give names to be tried
 * and no more, and what they name is opened by the policy like any name in an image.
 */
#ifndef VDISK_OPEN_FOLDER_H
#define VDISK_OPEN_FOLDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "io/gate.h"

struct err;
struct image_options;

enum folder_kind {
	FOLDER_IMAGE,   /* one image: a file, or a directory that is one as a whole */
	FOLDER_PACKAGE, /* an .ova or .ovf file */
	FOLDER_SUB,     /* a directory that has such entries in its turn */
};

/* A snapshot that a machine has of a disk. */
struct folder_shot {
	char *name; /* as the machine calls it: may be empty, and two may have the same */
	char *path;
	char *refusal; /* as of an entry */
	struct timespec when;
	size_t parent; /* number of the snapshot that it was taken on, from 1 on; 0: none */
};

struct folder_entry {
	enum folder_kind kind;
	char *name;     /* of its file; of a machine's disk: of the file that it began as */
	char *path;     /* absolute: what to open */
	bool described; /* path is what a description said, and so are those of the snapshots */
	char *refusal;  /* why the machine's description says that it cannot be shown, or NULL */
	size_t nshots;
	struct folder_shot *shots; /* each after the one that it was taken on */
};

struct folder {
	atomic_uint refs;
	char *path; /* absolute, without links */
	size_t n;
	struct folder_entry *entries; /* by name; names may repeat */
	/* Directories below that were looked into for entries, in vain. */
	size_t nempty;
	char **empty;
	/* Private: files that are part of something, by path. */
	size_t nclaims, nsorted;
	char **claims;
	const struct image_options *opts;
	struct gate gate; /* to what it shows */
};

/* Shared by counting, from any thread. */
struct folder *folder_ref(struct folder *f);
void folder_unref(struct folder *f); /* NULL is fine */

/* Do both say the same of a disk? */
bool folder_entry_is_same(const struct folder_entry *a, const struct folder_entry *b);

#endif
