/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exports.h - the disk of a state as files of other formats, generated while they are read. */
#ifndef VDISKFS_TREE_EXPORTS_H
#define VDISKFS_TREE_EXPORTS_H

#include <stdbool.h>
#include <stdint.h>

/* st_blksize of an export. */
#define EXPORT_STEP (1u << 20)

struct err;
struct image;
struct export_format;
struct state;
struct view;

/* The data that all exports of a state have in common; read for the first of them. */
struct exports;

struct exports *exports_new(void);    /* NULL without memory */
void exports_free(struct exports *x); /* after all exports; NULL is fine */

/* Has a state of img exports?  None if its disk can change, by this mount or another program. */
bool exports_any(const struct image *img, const struct state *state);

/* The name of an export: IMAGE-export.SUFFIX, or IMAGE-SNAPSHOT-export.SUFFIX.  IMAGE is the full
 * name of the image file, so that a copy of the export beside the image overwrites neither the
 * image nor the export of an image with another suffix.  A number is added if a file of the chain
 * that begins with top has the name, in any letter case.  malloc'ed or NULL. */
char *exports_name(const struct image *top, const struct image *img, const struct state *state,
	const struct export_format *l);

/* Creates the view of an export called name.  One thread at a time.  NULL after an error; EFBIG:
 * the disk is too large for the format. */
struct view *exports_make(struct exports *x, const struct image *img, const struct state *state,
	const struct export_format *l, const char *name, struct err *e);

/* The bytes stored of an export, as stat(2) reports them.  A file with few holes is reported to
 * have none: cp reads it in steps of EXPORT_STEP, but seeks for each hole if there is any. */
uint64_t exports_stored(struct exports *x, const struct state *state, const struct view *file);

#endif
