/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exports.h - the disk of a state as files of other formats, made up while they are read. */
#ifndef VDISKFS_TREE_EXPORTS_H
#define VDISKFS_TREE_EXPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What whoever reads such a file should ask for at a time, bytes. */
#define EXPORT_STEP (1u << 20)

struct err;
struct image;
struct export_format;
struct state;
struct view;

/* What all files of one state have in common: found when the first of them is looked at. */
struct exports;

struct exports *exports_new(void);    /* NULL without memory */
void exports_free(struct exports *x); /* NULL is fine; the files are gone */

/* Has a state of img such files?  It has none when its disk can change, by our doing or others'. */
bool exports_any(const struct image *img, const struct state *state);

/* The name of the file with layout l: IMAGE-export.SUFFIX, of a snapshot
 * IMAGE-SNAPSHOT-export.SUFFIX. IMAGE is the full name of the image's file, so the export cannot
 * have that name, nor that of the export of another image in the same directory: a copy beside the
 * image never overwrites it. Should another file of the chain that begins with top have the name,
 * in any letter case, a number is added.  malloc'ed or NULL. */
char *exports_name(const struct image *top, const struct image *img, const struct state *state,
	const struct export_format *l);

/* Makes one of them, called name.  One thread at a time.  -EFBIG: there can be none. */
int exports_make(struct exports *x, const struct image *img, const struct state *state,
	const struct export_format *l, const char *name, struct view **file, struct err *e);

/* Bytes of such a file that are stored, as stat(2) shall tell.  Next to no holes are told as none:
 * cp takes a file without holes in steps of EXPORT_STEP, of one that has any it asks for each. */
uint64_t exports_stored(struct exports *x, const struct state *state, const struct view *file);

#endif
