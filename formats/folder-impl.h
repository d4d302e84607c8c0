/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-impl.h - between folder.c, folder-scan.c and folder-machine.c only. */
#ifndef VDISK_FOLDER_IMPL_H
#define VDISK_FOLDER_IMPL_H

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

/* folder-machine.c */

/* The path of the file name, which is relative to dir, with the directories in it followed, when
 * one is there; malloc'ed or NULL. */
char *folder_find(const struct folder *f, const char *dir, const char *name);

/* Adds the disks of the machines that are described in the directory, and claims their files. */
int folder_add_machines(struct folder *f, struct err *e);

#endif
