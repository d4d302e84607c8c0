/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/digest.h"
#include "image/image.h"
#include "io/io.h"
#include "export.h"
#include "regions.h"
#include "view/view.h"

/* The properties of one state that are known without reading it, to be hashed, with the id of the
 * images below it. */
struct facts_of_state {
	unsigned char below[EXPORT_ID];
	unsigned char ids[2][GUID_LEN];
	unsigned char numbers[5][8];
	char names[3][256];
};

static void put_name(char out[256], const char *name)
{
	if (name)
		memcpy(out, name, strnlen(name, 256));
}

static void add_state(unsigned char id[EXPORT_ID], const struct image *img, const struct state *s)
{
	struct facts_of_state f = {0};
	unsigned char digest[HASH_MAX];

	memcpy(f.below, id, EXPORT_ID);
	memcpy(f.ids[0], img->id, GUID_LEN);
	memcpy(f.ids[1], img->change_id, GUID_LEN);
	store_le64(f.numbers[0], s->view->size);
	store_le64(f.numbers[1], s->when.tv_sec);
	store_le64(f.numbers[2], s->when.tv_nsec);
	store_le64(f.numbers[3], img->io->size);
	store_le64(f.numbers[4], s->vm_clock);
	put_name(f.names[0], image_basename(img));
	states_lock(img);
	put_name(f.names[1], s->id);
	put_name(f.names[2], s->name);
	states_unlock(img);
	digest_compute(digest_find("sha256"), &f, sizeof f, digest);
	memcpy(id, digest, EXPORT_ID);
}

int export_identify(
	struct export_source *s, const struct image *img, const struct state *state, struct err *e)
{
	size_t depth = image_depth(img), n = 0;
	const struct image **chain = calloc(depth, sizeof *chain);

	if (!chain)
		return err_nomem(e);
	for (const struct image *i = img; i; i = i->parent)
		chain[n++] = i;
	memset(s->id, 0, sizeof s->id);
	while (n-- > 0)
		add_state(s->id, chain[n], n == 0 ? state : chain[n]->states[0]);
	free(chain);
	s->when = state->when.tv_sec;
	s->sector_size = img->sector_size;
	return 0;
}

int export_make(const struct export_format *l, const struct export_source *s, const char *name,
	struct view **file, struct err *e)
{
	if (s->disk->size == 0)
		return err_set(e, EINVAL, "the disk is empty: it has no bytes");
	if (s->disk->size > l->max_disk)
		return err_set(e, EFBIG,
			"a disk of %" PRIu64 " bytes, at most %" PRIu64 " are possible",
			(uint64_t)s->disk->size, l->max_disk);
	return l->make(s, name, file, e);
}

uint64_t export_stored(const struct view *file, uint64_t disk_stored)
{
	return regions_stored(file, disk_stored);
}

/* Metadata takes less than an eighth of the stored bytes. */
enum export_fit export_fit(const struct export_format *l, uint64_t disk_size)
{
	if (disk_size == 0 || disk_size > l->max_disk)
		return EXPORT_NEVER;
	return disk_size <= l->max_file / 8 * 7 ? EXPORT_ALWAYS : EXPORT_MAYBE;
}
