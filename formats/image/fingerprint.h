/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fingerprint.h - the identity of the files of an image, to see when it is opened again whether it
 * is still the same image.
 *
 * A fingerprint has the device, inode, size and times of each file of the image and of its parents.
 */
#ifndef VDISK_IMAGE_FINGERPRINT_H
#define VDISK_IMAGE_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct identity;
struct image;
struct io;
struct fingerprint_file;

/* {0} is that of no file. */
struct fingerprint {
	size_t n;
	struct fingerprint_file *files; /* the image's own first file is the first */
};

int fingerprint_take(struct fingerprint *s, const struct image *img, struct err *e);

/* Adds one more file, as it is now. */
int fingerprint_add(struct fingerprint *s, const struct io *io, struct err *e);

/* Adds the files of an image, or one by its path, if there is such a file, or those of another
 * fingerprint. */
int fingerprint_add_image(struct fingerprint *s, const struct image *img, struct err *e);
int fingerprint_add_path(struct fingerprint *s, const char *path, struct err *e);
int fingerprint_add_all(struct fingerprint *s, const struct fingerprint *from, struct err *e);

void fingerprint_free(struct fingerprint *s);

/* Updates the fingerprint after this process has written the image, which is still open and locked:
 * no other program has changed it. */
void fingerprint_renew(struct fingerprint *s, const struct image *img);

bool fingerprint_is_same(const struct fingerprint *a, const struct fingerprint *b);

/* Do the names of the files still lead to them, unchanged? */
bool fingerprint_holds(const struct fingerprint *s);

/* The first file, which is there. */
const struct identity *fingerprint_first(const struct fingerprint *s);

/* Removes the files by their names, but for the first n.  Nothing is removed unless the
 * fingerprint holds; -ESTALE: it does not, or a file was replaced meanwhile, and stays. */
int fingerprint_unlink_after(const struct fingerprint *s, size_t n, struct err *e);

#endif
