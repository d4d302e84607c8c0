/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.h - an image as JSON, with the keys of qemu-img info --output=json. */
#ifndef VDISK_IMAGE_INFO_H
#define VDISK_IMAGE_INFO_H

struct err;
struct image;
struct json_object;
struct state;

/* One state of the image as an object for json-c, which is the caller's to put.  filename
 * is the name in the object, backing the file of its parent; NULL: not known. */
struct json_object *info_object(const struct image *img, const struct state *state,
	const char *filename, const char *backing);

/* The same with the absolute paths of the files. */
struct json_object *info_absolute(const struct image *img, const struct state *state);

/* The same as text with the absolute paths of the files, ending in a newline; malloc'ed; NULL on
 * failure. */
char *info_json(const struct image *img, const struct state *state, struct err *e);

/* Any object or list, likewise. */
char *info_text(struct json_object *o, struct err *e);

/* The list of its snapshots, perhaps an empty one. */
struct json_object *info_snapshots(const struct image *img);

#endif
