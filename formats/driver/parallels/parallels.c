/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallels.c - Parallels disks, for reading: bundles, which are directories with a descriptor, and
 * single expanding images.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/facts.h"
#include "image/format.h"
#include "io/host.h"
#include "image/image.h"
#include "io/io.h"
#include "parallels.h"
#include "view/view.h"
#include "util/xml.h"

/* A state of the disk.  p is the image's. */
struct parallels_view {
	struct view view;
	const struct parallels *p;
	size_t shot;
};

/* The last storage that begins at or before off. */
static const struct parallels_storage *find_storage(const struct parallels *p, uint64_t off)
{
	size_t low = 0, high = p->nstorages;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (p->storages[middle].start <= off)
			low = middle;
		else
			high = middle;
	}
	return &p->storages[low];
}

static int parallels_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct parallels_view *v = (const struct parallels_view *)view;
	const struct parallels *p = v->p;
	const struct parallels_storage *s = find_storage(p, off);
	uint64_t inside = off - s->start;

	len = MIN(len, s->len - inside);
	for (size_t i = v->shot; i != PARALLELS_NONE; i = p->shots[i].parent) {
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

/* Why the shot cannot be shown, which may be the fault of one that it leans on, or NULL. */
static const char *broken_shot(const struct parallels *p, size_t shot)
{
	for (; shot != PARALLELS_NONE; shot = p->shots[shot].parent)
		if (p->shots[shot].broken)
			return p->shots[shot].broken;
	return NULL;
}

static struct view *view_of_shot(const struct parallels *p, size_t shot, struct err *e)
{
	const char *broken = broken_shot(p, shot);
	struct parallels_view *v;

	if (broken)
		return view_broken(p->size, broken, e);
	v = calloc(1, sizeof *v);
	if (!v) {
		err_nomem(e);
		return NULL;
	}
	v->view = (struct view){.ops = &parallels_ops, .size = p->size, .cache = p->cache};
	v->p = p;
	v->shot = shot;
	return &v->view;
}

static struct state *add_state(struct image *img, const struct parallels *p, size_t shot,
	const char *id, const char *name, struct err *e)
{
	struct view *v = view_of_shot(p, shot, e);
	struct state *s = v ? image_add_state(img, id, name, v, e) : NULL;

	if (!s)
		view_free(v);
	return s;
}

/* Room. */

int parallels_make_room(struct parallels *p, size_t nstorages, size_t nshots, struct err *e)
{
	p->shots = calloc(nshots, sizeof *p->shots);
	p->storages = calloc(nstorages, sizeof *p->storages);
	if (!p->shots || !p->storages)
		return err_nomem(e);
	p->nshots = nshots;
	p->nstorages = nstorages;
	for (size_t i = 0; i < nstorages; i++) {
		p->storages[i].files = calloc(nshots, sizeof *p->storages[i].files);
		if (!p->storages[i].files)
			return err_nomem(e);
	}
	return 0;
}

static void parallels_free(struct parallels *p)
{
	for (size_t i = 0; i < p->nstorages; i++) {
		struct parallels_file *files = p->storages[i].files;

		for (size_t k = 0; files && k < p->nshots; k++)
			io_unref(files[k].io);
		free(files);
	}
	for (size_t k = 0; k < p->nshots; k++)
		free(p->shots[k].broken);
	free(p->storages);
	free(p->shots);
	free(p);
}

/* Opening. */

/* Nothing in a file says whether it is all of a disk. */
static void warn_of_bundle(const struct image *img)
{
	struct stat st;
	char *path;

	if (!image_dir(img) || asprintf(&path, "%s/%s", image_dir(img), PARALLELS_DESCRIPTOR) < 0)
		return;
	if (host_stat(path, &st) == 0)
		image_warn(img, "one file of the disk that %s describes: it may not be all of it",
			PARALLELS_DESCRIPTOR);
	free(path);
}

static int open_single(struct image *img, struct parallels *p, struct err *e)
{
	struct parallels_file *f;
	int r = parallels_make_room(p, 1, 1, e);

	if (r < 0)
		return r;
	p->shots[0].parent = PARALLELS_NONE;
	f = &p->storages[0].files[0];
	f->io = io_ref(img->io);
	r = parallels_file_read(f, e);
	if (r < 0)
		return r;
	p->size = p->storages[0].len = f->size;
	warn_of_bundle(img);
	return add_state(img, p, 0, NULL, NULL, e) ? 0 : -e->code;
}

/* A GUID as a name for people and file systems: without its braces. */
static void bare_guid(char *out, size_t size, const char *guid)
{
	snprintf(out, size, "%s", guid + (guid[0] == '{'));
	out[strcspn(out, "}")] = '\0';
}

static int add_snapshot(struct image *img, const struct parallels *p, const struct xml *names,
	size_t shot, struct err *e)
{
	const char *guid = p->shots[shot].guid;
	const struct xml *item = parallels_names_find(names, guid);
	const char *name = xml_text(item, "Name");
	struct tm tm = {0};
	char bare[64];
	struct state *s;

	bare_guid(bare, sizeof bare, guid);
	s = add_state(img, p, shot, guid, name[0] ? name : bare, e);
	if (!s)
		return -e->code;
	s->when = img->io->mtime;
	if (strptime(xml_text(item, "DateTime"), "%Y-%m-%d %H:%M:%S", &tm))
		s->when = (struct timespec){.tv_sec = timegm(&tm)};
	return 0;
}

static int add_snapshots(struct image *img, const struct parallels *p, struct err *e)
{
	struct xml *names;
	int r = 0;

	if (img->opts->nosnapshots || p->nshots < 2)
		return 0;
	names = parallels_names_read(img);
	for (size_t i = 0; r == 0 && i < p->nshots; i++)
		if (i != p->top)
			r = add_snapshot(img, p, names, i, e);
	xml_free(names);
	return r;
}

static int open_bundle(struct image *img, struct parallels *p, struct err *e)
{
	struct xml *root;
	int r = xml_read(img->io, &root, e);

	if (r < 0)
		return r;
	r = parallels_desc_read(img, p, root, e);
	if (r == 0 && !add_state(img, p, p->top, NULL, NULL, e))
		r = -e->code;
	if (r == 0)
		r = add_snapshots(img, p, e);
	xml_free(root);
	img->sector_size = p->sector_size;
	return r;
}

static bool is_unclean(const struct parallels *p)
{
	for (size_t i = 0; i < p->nstorages; i++)
		for (size_t k = p->top; k != PARALLELS_NONE; k = p->shots[k].parent)
			if (p->storages[i].files[k].unclean)
				return true;
	return false;
}

static int parallels_open(struct image *img, struct err *e)
{
	unsigned char head[PARALLELS_PEEK];
	struct parallels *p;
	int r = io_read_padded(img->io, head, sizeof head, 0, e);

	if (r < 0)
		return r;
	p = calloc(1, sizeof *p);
	if (!p)
		return err_nomem(e);
	p->cache = img->opts->cache;
	if (parallels_desc_probe(head, sizeof head))
		r = open_bundle(img, p, e);
	else
		r = open_single(img, p, e);
	if (r < 0) {
		parallels_free(p);
		return r;
	}
	if (is_unclean(p))
		image_warn(img, "it was not closed after its last use: its last changes may be "
				"missing");
	img->priv = p;
	return 0;
}

static void parallels_close(struct image *img)
{
	parallels_free(img->priv);
}

static void parallels_facts(const struct image *img, struct facts *f)
{
	const struct parallels *p = img->priv;
	const struct parallels_file *top = &p->storages[0].files[p->top];

	if (!top->plain)
		fact_cluster_size(f, top->cluster);
	fact_dirty(f, is_unclean(p));
}

static int parallels_probe(const struct peek *p)
{
	return parallels_file_probe(p->head, p->nhead) || parallels_desc_probe(p->head, p->nhead)
		       ? 100
		       : 0;
}

static const char *const suffixes[] = {"hdd", "hds", NULL};

const struct format parallels_format = {
	.name = "parallels",
	.title = "Parallels disk",
	.suffixes = suffixes,
	.has_snapshots = true,
	.bundle = PARALLELS_DESCRIPTOR,
	.probe = parallels_probe,
	.open = parallels_open,
	.close = parallels_close,
	.facts = parallels_facts,
	.check = parallels_check,
};
