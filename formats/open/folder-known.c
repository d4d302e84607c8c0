/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-known.c - images of a directory by their ids, for descriptions that register them so.
 *
 * A name in a description proves nothing: disks are renamed, copied and moved.  A medium is the one
 * file whose own id is that of the medium.  Files are only opened as far as their headers.
 */
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/array.h"
#include "util/err.h"
#include "folder.h"
#include "folder-known.h"
#include "image/image.h"
#include "io/io.h"
#include "parent-places.h"
#include "opening.h"

struct known_image {
	unsigned char id[GUID_LEN];
	char *path;
};

/* The id of the image in a file, zero when it has none or cannot be read; its path without links is
 * real, malloc'ed.  False: there is no such file. */
static bool read_id(
	const struct folder *f, const char *path, unsigned char id[GUID_LEN], char **real)
{
	const char *format = parent_places_format(path);
	struct opening how = {
		.format = format,
		.gate = &f->gate,
		.is_disk = true,
		.guessed = !format,
	};
	struct image_options look = *f->opts;
	struct err ignored = ERR_INIT;
	struct image *img;
	struct io *io;

	memset(id, 0, GUID_LEN);
	look.nolock = true;
	look.warn = NULL;
	look.secrets = NULL;
	if (gate_open(&f->gate, path, "image", &io, &ignored) < 0)
		return false;
	*real = strdup(io->name);
	if (opening_run(&how, io, &look, &img, &ignored) == 0) {
		memcpy(id, img->id, GUID_LEN);
		image_close(img);
	}
	return *real != NULL;
}

static bool add_file(void *arg, const char *path)
{
	struct folder_known *known = arg;
	struct known_image *images, image;

	if (known->left == 0)
		return true;
	known->left--;
	if (!read_id(known->f, path, image.id, &image.path))
		return false;
	if (guid_is_zero(image.id)) {
		free(image.path);
		return false;
	}
	images = array_grow(known->images, known->n, sizeof *images);
	if (!images) {
		free(image.path);
		return true;
	}
	known->images = images;
	images[known->n++] = image;
	return false;
}

static int compare_id(const void *id, const void *image)
{
	return memcmp(id, ((const struct known_image *)image)->id, GUID_LEN);
}

static int compare_images(const void *a, const void *b)
{
	return compare_id(((const struct known_image *)a)->id, b);
}

static void read_all(struct folder_known *known)
{
	const struct folder *f = known->f;
	struct parent_places places;

	known->read = true;
	known->left = PARENT_SEARCH_MAX_FILES;
	if (parent_places_find(&places, f->path, false, known->machines, f->opts) == 0)
		parent_places_visit(&places, add_file, known);
	parent_places_free(&places);
	if (known->n > 0)
		qsort(known->images, known->n, sizeof known->images[0], compare_images);
}

/* Copies have the id of the original, so an id of several files identifies none. */
const char *folder_known_find(struct folder_known *known, const unsigned char *id)
{
	const char *path = NULL;
	size_t i;

	if (!known->read)
		read_all(known);
	if (guid_is_zero(id))
		return NULL;
	i = array_lower_bound(id, known->images, known->n, sizeof known->images[0], compare_id);
	for (; i < known->n && compare_id(id, &known->images[i]) == 0; i++) {
		if (path && strcmp(path, known->images[i].path) != 0)
			return NULL;
		path = known->images[i].path;
	}
	return path;
}

bool folder_known_is_other(const struct folder *f, const char *path, const unsigned char *id)
{
	unsigned char found[GUID_LEN];
	char *real = NULL;
	bool other = read_id(f, path, found, &real) && !guid_is_zero(found) &&
		     memcmp(found, id, GUID_LEN) != 0;

	free(real);
	return other;
}

void folder_known_free(struct folder_known *known)
{
	for (size_t i = 0; i < known->n; i++)
		free(known->images[i].path);
	free(known->images);
}
