/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* registry.h - the list of all formats. */
#ifndef VDISK_OPEN_REGISTRY_H
#define VDISK_OPEN_REGISTRY_H

#include <limits.h>

struct format;
struct peek;

extern const struct format *const registry[]; /* NULL-terminated */

/* Prints the table of --list-formats: the name, title and abilities of each format. */
void registry_print(void);

/* By name, or NULL; also by the other names that images and users have for a format ("vhd" is
 * "vpc"). */
const struct format *registry_find(const char *name);

/* The name of the format that an unknown name was probably meant for, or NULL. */
const char *registry_nearest(const char *name);

/* The format that files of this name usually are, by suffix, or NULL; opens nothing. */
const struct format *registry_find_by_filename(const char *name);

/* The format of dir, a directory that is one image as a whole, or NULL.  path is then the file in
 * it to open. */
const struct format *registry_find_bundle(const char *dir, char path[PATH_MAX]);

/* The format with the highest probe score, or NULL when all are 0. */
const struct format *registry_probe(const struct peek *p);

#endif
