/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* driver.c - Parallels disks, for reading: bundles, which are directories with a descriptor, and
 * single expanding images. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/err.h"
#include "util/xml.h"
#include "io/host.h"
#include "io/io.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "descriptor.h"
#include "disk.h"
#include "file.h"

/* A single file does not record whether it is the whole disk. */
static void warn_of_bundle(const struct image *img)
{
	struct stat st;
	char *path;

	if (!image_dir(img) || asprintf(&path, "%s/%s", image_dir(img), PARALLELS_DESCRIPTOR) < 0)
		return;
	if (host_stat(path, &st) == 0)
		image_warn(img,
			"one file of the disk that %s describes: it may not be the whole disk",
			PARALLELS_DESCRIPTOR);
	free(path);
}

static int open_single(struct image *img, struct parallels *p, struct err *e)
{
	struct parallels_file *f;
	int r = parallels_disk_alloc(p, 1, 1, e);

	if (r < 0)
		return r;
	p->snapshots[0].parent = PARALLELS_NONE;
	f = &p->storages[0].files[0];
	f->io = io_ref(img->io);
	r = parallels_file_read(f, e);
	if (r < 0)
		return r;
	p->size = p->storages[0].len = f->size;
	warn_of_bundle(img);
	return parallels_disk_add_state(img, p, 0, NULL, NULL, e) ? 0 : -e->code;
}

/* Snapshots.xml beside a bundle has the names and dates of its snapshots; NULL: there is none.  Its
 * place above the bundle is fixed and not named by the image: opening it needs no allowed
 * directory. */
static struct xml *read_snapshot_names(const struct image *img)
{
	struct err e = ERR_INIT;
	struct xml *root = NULL;
	struct io *io = NULL;
	char *path;
	int fd;

	if (!image_dir(img) || asprintf(&path, "%s/../Snapshots.xml", image_dir(img)) < 0)
		return NULL;
	fd = host_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0);
	if (fd >= 0)
		io = io_from_fd(fd, path, &e);
	free(path);
	if (io && parallels_descriptor_parse(io, &root, &e) < 0)
		root = NULL;
	io_unref(io);
	if (e.code)
		image_warn(img, "the names of snapshots cannot be read: %s", e.text);
	if (root && strcmp(root->name, "ParallelsSavedStates") != 0) {
		xml_free(root);
		root = NULL;
	}
	return root;
}

/* The item of the snapshot, or NULL.  Items are nested like the snapshots. */
static const struct xml *find_item(const struct xml *names, const char *guid)
{
	for (const struct xml *node = names; node;) {
		const char *its = xml_attr(node, "guid");

		if (its && strcmp(node->name, "SavedStateItem") == 0 &&
			parallels_descriptor_same_guid(its, guid))
			return node;
		if (node->child) {
			node = node->child;
			continue;
		}
		while (node && !node->next)
			node = node->parent;
		node = node ? node->next : NULL;
	}
	return NULL;
}

/* A snapshot without a name is called by its GUID, without braces: that is a file name, too. */
static int add_snapshot(struct image *img, const struct parallels *p, const struct xml *names,
	size_t snapshot, struct err *e)
{
	const char *guid = p->snapshots[snapshot].guid;
	const struct xml *item = find_item(names, guid);
	const char *name = xml_text(item, "Name");
	struct tm tm = {0};
	char bare[64];
	struct state *s;

	snprintf(bare, sizeof bare, "%s", guid + (guid[0] == '{'));
	bare[strcspn(bare, "}")] = '\0';
	s = parallels_disk_add_state(img, p, snapshot, guid, name[0] ? name : bare, e);
	if (!s)
		return -e->code;
	s->when = img->io->mtime;
	if (strptime(xml_text(item, "DateTime"), "%Y-%m-%d %H:%M:%S", &tm))
		s->when = (struct timespec){.tv_sec = timegm(&tm)};
	return 0;
}

static int open_bundle(struct image *img, struct parallels *p, struct err *e)
{
	struct xml *root, *names;
	int r = parallels_descriptor_parse(img->io, &root, e);

	if (r < 0)
		return r;
	r = parallels_descriptor_read(img, p, root, e);
	if (r == 0 && !parallels_disk_add_state(img, p, p->top, NULL, NULL, e))
		r = -e->code;
	if (r == 0 && !img->opts->nosnapshots && p->nsnapshots > 1) {
		names = read_snapshot_names(img);
		for (size_t i = 0; r == 0 && i < p->nsnapshots; i++)
			if (i != p->top)
				r = add_snapshot(img, p, names, i, e);
		xml_free(names);
	}
	xml_free(root);
	img->sector_size = p->sector_size;
	return r;
}

static bool is_unclean(const struct parallels *p)
{
	for (size_t i = 0; i < p->nstorages; i++)
		for (size_t k = p->top; k != PARALLELS_NONE; k = p->snapshots[k].parent)
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
	if (parallels_descriptor_probe(head, sizeof head))
		r = open_bundle(img, p, e);
	else
		r = open_single(img, p, e);
	if (r < 0) {
		parallels_disk_free(p);
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
	parallels_disk_free(img->priv);
}

static void parallels_facts(const struct image *img, struct facts *f)
{
	const struct parallels *p = img->priv;
	const struct parallels_file *top = &p->storages[0].files[p->top];

	if (!top->plain)
		facts_cluster_size(f, top->cluster);
	facts_dirty(f, is_unclean(p));
}

static int parallels_probe(const struct peek *p)
{
	return parallels_file_probe(p->head, p->nhead) ||
			       parallels_descriptor_probe(p->head, p->nhead)
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
