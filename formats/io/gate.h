/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gate.h - the gate: which files a name inside an image may open.
 *
 * Every byte of an image is hostile.  A name in it is a plain file name, never a protocol.  It is
 * taken from the directory of the image that says it and must lead to a regular file below the
 * directory of the image that the user named, or below a directory that the user allowed: the
 * fence.  Of an image in an archive it leads to a member of that, or nowhere.
 *
 * A parent that is known by its id alone is looked for, not named, and for that search alone a
 * directory which is a machine's folder for snapshots (open/vbox-registry.h) is no fence: the one
 * above it is, since the two are one machine's.  So an image in such a folder can make us open
 * files of the machine's folder, and have those of them for a parent that are images with the id
 * that it says. Names in a parent which was found there may lead below the machine's folder, as if
 * the user had named that image.
 */
#ifndef VDISK_IO_GATE_H
#define VDISK_IO_GATE_H

#include <stdbool.h>

struct err;
struct image;
struct image_options;
struct io;

/* Opens name as img says it, unlocked; what is a word for messages ("backing file").  The error
 * says which file was refused, why, and which option would let it in. */
int gate_open(
	const struct image *img, const char *name, const char *what, struct io **io, struct err *e);

/* Likewise a file that may be the parent that img knows by its id; img->machine_dir counts. */
int gate_open_kin(
	const struct image *img, const char *name, const char *what, struct io **io, struct err *e);

/* Opens a file by a name that no image said, from dir: it must lead to a regular file below dir, or
 * below what o allows besides (NULL: nothing). */
int gate_open_in(const char *dir, const struct image_options *o, const char *name, const char *what,
	struct io **io, struct err *e);

/* May gate_open_in so much as look at an absolute path? */
bool gate_may_look(const char *dir, const struct image_options *o, const char *path);

/* The fence round the names in the parent of child that was found at path, real; borrowed from
 * child. */
const char *gate_root(const struct image *child, const char *path);

#endif
