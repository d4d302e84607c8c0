/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-impl.h - between folder.c, folder-scan.c and folder-machine.c only. */
#ifndef VDISK_OPEN_FOLDER_IMPL_H
#define VDISK_OPEN_FOLDER_IMPL_H

#include "folder.h"

/* Copy the texts; NULL or -ENOMEM without memory.  An entry stays until the next one is added. */
struct folder_entry *folder_add(
	struct folder *f, enum folder_kind kind, const char *name, const char *path, struct err *e);
int folder_claim(struct folder *f, const char *path, struct err *e);

/* Was the file claimed before claims were last sorted? */
void folder_sort_claims(struct folder *f);
bool folder_has_claim(const struct folder *f, const char *path);

/* The path that name has in dir, or NULL when that is too long: malloc'ed. */
char *folder_join(const char *dir, const char *name);

/* folder-scan.c: what the names and heads of files tell.  Claims the parts of images. */
int folder_scan(struct folder *f, struct err *e);

/* Claims what the head of an image names, and what that names as parents, if parents. */
int folder_claim_names(struct folder *f, const char *path, bool parents, struct err *e);

/* folder-known.c */

struct vbox_registry;
struct folder_known;

/* Images by id, read when the first is asked for. */
struct folder_media {
	const struct folder *f;
	struct vbox_registry *homes;
	bool read;
	unsigned left; /* files that may still be opened */
	size_t n;
	struct folder_known *known;
};

void folder_media_free(struct folder_media *media);

/* The path of the one image that has the id, or NULL: none has, or several have. */
const char *folder_find_id(struct folder_media *media, const unsigned char *id);

/* Does the image in a file have an id, and another one? */
bool folder_is_other(const struct folder *f, const char *path, const unsigned char *id);

/* folder-machine.c */

/* The path of the file name, which is relative to dir, with the directories in it followed, when
 * one is there; malloc'ed or NULL. */
char *folder_find(const struct folder *f, const char *dir, const char *name);

/* Is a file there?  Where nothing may be opened nothing is looked for. */
bool folder_is_there(const struct folder *f, const char *path);

/* Adds the disks of a machine, and claims their files.  media: those that the ids in its
 * description are looked for among; NULL: it has none. */
struct machine;
int folder_add_machine(
	struct folder *f, const struct machine *m, struct folder_media *media, struct err *e);

/* folder-described.c */

/* Adds the disks of the machines that are described in the directory, and claims their files. */
int folder_add_machines(struct folder *f, struct err *e);

#endif
