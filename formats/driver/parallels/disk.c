/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk.c - the map of a Parallels disk: the storage by the offset, then its files from a snapshot
 * up to the last parent. */
#include "disk.h"

#include <stdlib.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view/view.h"
#include "image/image.h"
#include "file.h"

/* The disk at a snapshot. */
struct parallels_view {
	struct view view;
	const struct parallels *p; /* borrowed from the image */
	size_t snapshot;
};

/* For array_lower_bound: finds the first storage that begins after an offset. */
static int compare_start(const void *off, const void *storage)
{
	return *(const uint64_t *)off >= ((const struct parallels_storage *)storage)->start ? 1
											    : -1;
}

static int parallels_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct parallels_view *v = (const struct parallels_view *)view;
	const struct parallels *p = v->p;
	const struct parallels_storage *s = p->storages - 1 +
					    array_lower_bound(&off, p->storages, p->nstorages,
						    sizeof p->storages[0], compare_start);
	uint64_t inside = off - s->start;

	len = MIN(len, s->len - inside);
	for (size_t i = v->snapshot; i != PARALLELS_NONE; i = p->snapshots[i].parent) {
		int r = parallels_file_map(&s->files[i], p->cache, inside, len, x, e);

		if (r < 0 || x->kind != EXTENT_BELOW)
			return r;
		len = MIN(len, x->len);
	}
	x->kind = EXTENT_ZERO;
	x->len = len;
	return 0;
}

static const struct view_ops parallels_ops = {.map = parallels_map};

/* A snapshot is broken, too, when one of its parents is. */
static struct view *new_view(const struct parallels *p, size_t snapshot, struct err *e)
{
	struct parallels_view *v;

	for (size_t i = snapshot; i != PARALLELS_NONE; i = p->snapshots[i].parent)
		if (p->snapshots[i].broken)
			return view_broken(p->size, p->snapshots[i].broken, e);
	v = calloc(1, sizeof *v);
	if (!v) {
		err_nomem(e);
		return NULL;
	}
	v->view = (struct view){.ops = &parallels_ops, .size = p->size, .cache = p->cache};
	v->p = p;
	v->snapshot = snapshot;
	return &v->view;
}

struct state *parallels_disk_add_state(struct image *img, const struct parallels *p,
	size_t snapshot, const char *id, const char *name, struct err *e)
{
	struct view *v = new_view(p, snapshot, e);
	struct state *s = v ? image_add_state(img, id, name, v, e) : NULL;

	if (!s)
		view_free(v);
	return s;
}

int parallels_disk_alloc(struct parallels *p, size_t nstorages, size_t nsnapshots, struct err *e)
{
	p->snapshots = calloc(nsnapshots, sizeof *p->snapshots);
	p->storages = calloc(nstorages, sizeof *p->storages);
	if (!p->snapshots || !p->storages)
		return err_nomem(e);
	p->nsnapshots = nsnapshots;
	p->nstorages = nstorages;
	for (size_t i = 0; i < nstorages; i++) {
		p->storages[i].files = calloc(nsnapshots, sizeof *p->storages[i].files);
		if (!p->storages[i].files)
			return err_nomem(e);
	}
	return 0;
}

void parallels_disk_free(struct parallels *p)
{
	for (size_t i = 0; i < p->nstorages; i++) {
		struct parallels_file *files = p->storages[i].files;

		for (size_t k = 0; files && k < p->nsnapshots; k++)
			io_unref(files[k].io);
		free(files);
	}
	for (size_t k = 0; k < p->nsnapshots; k++)
		free(p->snapshots[k].broken);
	free(p->storages);
	free(p->snapshots);
	free(p);
}
