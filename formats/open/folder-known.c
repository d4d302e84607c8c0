/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-known.c - images of a directory by their ids, for descriptions that register them so.
 *
 * A name in a description proves nothing: disks are renamed, copied and moved.  The one file whose
 * own id is that of the medium is the medium.  Files are only opened as far as their headers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "folder-impl.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "parent-places.h"
#include "opening.h"

struct folder_known {
	unsigned char id[GUID_LEN];
	char *path;
};

/* The id of the image in a file, zero when it has none or cannot be read; its path without links is
 * real, malloc'ed.  False: there is no such file. */
static bool read_id(
	const struct folder *f, const char *path, unsigned char id[GUID_LEN], char **real)
{
	const struct format *format = parent_places_format(path);
	struct opening how = {
		.format = format ? format->name : NULL,
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

bool folder_is_other(const struct folder *f, const char *path, const unsigned char *id)
{
	unsigned char found[GUID_LEN];
	char *real = NULL;
	bool other = read_id(f, path, found, &real) && !guid_is_zero(found) &&
		     memcmp(found, id, GUID_LEN) != 0;

	free(real);
	return other;
}

static bool add_file(void *arg, const char *path)
{
	struct folder_media *media = arg;
	struct folder_known *known = media->known;
	unsigned char id[GUID_LEN];
	char *real = NULL;

	if (media->left == 0)
		return true;
	media->left--;
	if (!read_id(media->f, path, id, &real) || guid_is_zero(id)) {
		free(real);
		return false;
	}
	/* Full when the count is a power of two. */
	if (media->n == 0 || is_power_of_2(media->n))
		known = realloc(known, (media->n ? 2 * media->n : 1) * sizeof *known);
	if (!known) {
		free(real);
		return true;
	}
	media->known = known;
	known[media->n].path = real;
	memcpy(known[media->n++].id, id, GUID_LEN);
	return false;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(((const struct folder_known *)a)->id, ((const struct folder_known *)b)->id,
		GUID_LEN);
}

static void read_all(struct folder_media *media)
{
	struct parent_places places;

	media->read = true;
	media->left = FAMILY_MAX_FILES;
	if (parent_places_find(&places, media->f->path, false, media->homes, media->f->opts) == 0)
		parent_places_visit(&places, add_file, media);
	parent_places_free(&places);
	if (media->n > 0)
		qsort(media->known, media->n, sizeof media->known[0], compare_ids);
}

/* Do all that have the id of known[i], of which it is the first, lie in one file? */
static bool is_only(const struct folder_media *media, size_t i)
{
	const struct folder_known *first = &media->known[i], *k = first;

	while (++k < media->known + media->n && memcmp(k->id, first->id, GUID_LEN) == 0)
		if (strcmp(k->path, first->path) != 0)
			return false;
	return true;
}

/* Copies have the id of the original, and nothing tells which of them is meant. */
const char *folder_find_id(struct folder_media *media, const unsigned char *id)
{
	if (!media->read)
		read_all(media);
	for (size_t i = 0; i < media->n && !guid_is_zero(id); i++)
		if (memcmp(media->known[i].id, id, GUID_LEN) == 0)
			return is_only(media, i) ? media->known[i].path : NULL;
	return NULL;
}

void folder_media_free(struct folder_media *media)
{
	for (size_t i = 0; i < media->n; i++)
		free(media->known[i].path);
	free(media->known);
}
