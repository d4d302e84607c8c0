/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent-places.h - the directories in which an image is searched for by its id, and the files in
 * them.
 *
 * These are the directory of the child, the folders of snapshots in it, the directory above if it
 * is such a folder itself, and the directories of -o search and -o allow with all below them.
 */
#ifndef VDISK_OPEN_PARENT_PLACES_H
#define VDISK_OPEN_PARENT_PLACES_H

#include <stdbool.h>

#include "util/string-list.h"

struct vbox_registry;
struct image_options;

struct parent_places {
	const struct image_options *opts;
	struct string_list dirs; /* without those below others */
	char *above; /* the machine's folder, if dir is that of its snapshots; or NULL */
};

/* Fills in *p, which is to be freed, also on failure: -ENOMEM.  above: p->above may be set. */
int parent_places_find(struct parent_places *p, const char *dir, bool above,
	struct vbox_registry *machines, const struct image_options *o);
void parent_places_free(struct parent_places *p);

/* The name of the format of images with ids that files of this name usually have; NULL: none. */
const char *parent_places_format(const char *name);

/* Returns whether the search is over. */
typedef bool parent_places_try(void *arg, const char *path);

/* Visits all files that are images with ids by their suffix, directory by directory and then those
 * below the directories of the user: without following links there, not across file systems,
 * PARENT_SEARCH_MAX_DEPTH deep and PARENT_SEARCH_MAX_ENTRIES in all.  True: the search is over. */
bool parent_places_visit(const struct parent_places *p, parent_places_try *try, void *arg);

#endif
