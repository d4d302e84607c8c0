/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stamp.h - what the files of an image were when it was opened: whether it is still the same one
 * when it is opened again.
 *
 * Of each file of the image and of its parents: which file, how long, when written to last.
 */
#ifndef VDISK_STAMP_H
#define VDISK_STAMP_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct image;
struct stamped;

struct stamp {
	size_t n;
	struct stamped *files;
};

int stamp_take(struct stamp *s, const struct image *img, struct err *e);
void stamp_free(struct stamp *s);

/* What the files are now is what they shall be: we have written to them. */
void stamp_renew(struct stamp *s);

bool stamp_is_same(const struct stamp *a, const struct stamp *b);

/* Do the files that have these names now look as they did? */
bool stamp_holds(const struct stamp *s);

#endif
