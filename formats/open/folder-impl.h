/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-impl.h - building the list of a directory, for folder-*.c only. */
#ifndef VDISK_OPEN_FOLDER_IMPL_H
#define VDISK_OPEN_FOLDER_IMPL_H

#include "folder.h"

/* Copy the texts; NULL or -ENOMEM without memory.  An entry stays until the next one is added. */
struct folder_entry *folder_add(
	struct folder *f, enum folder_kind kind, const char *name, const char *path, struct err *e);
int folder_claim(struct folder *f, const char *path, struct err *e);

void folder_free_entry(struct folder_entry *entry);

/* Was the file claimed before claims were last sorted? */
void folder_sort_claims(struct folder *f);
bool folder_has_claim(const struct folder *f, const char *path);

/* The path that name has in dir, or NULL when that is too long: malloc'ed. */
char *folder_join(const char *dir, const char *name);

/* The path of the file name, which is relative to dir, with the directories in it followed, when
 * one is there; malloc'ed or NULL. */
char *folder_find(const struct folder *f, const char *dir, const char *name);

/* Is a file there?  Files that may not be opened are not looked for. */
bool folder_is_there(const struct folder *f, const char *path);

#endif
