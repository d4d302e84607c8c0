/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "image/fingerprint.h"
#include "image/format.h"
#include "image/image.h"
#include "open.h"
#include "package-disk.h"
#include "package.h"
#include "partition/partition.h"
#include "util/array.h"
#include "util/err.h"
#include "util/limits.h"
#include "view/view.h"
#include "volume/volume.h"

struct disk {
	struct image *img;
	struct partition_table table; /* without the partitions that are left out */
};

struct disks {
	struct disk *list;
	struct volume_disk *seen; /* as disks_of gives them */
	size_t n;
	struct fingerprint left_out; /* files of other images */
	bool locked;                 /* one of them is */
};

int disk_open(const struct disk_place *place, const struct image_options *o, struct image **img,
	struct err *e)
{
	struct package *package;
	int r;

	if (!place->in_package)
		return image_open_in(place->root, place->path, o, img, e);
	r = package_open_in(place->root, place->path, o, &package, e);
	if (r < 0)
		return r;
	if (place->disk < package_count(package))
		r = package_disk_open(package, place->disk, img, e);
	else
		r = err_set(e, ENOENT, "%s: it has no such disk", place->path);
	package_close(package);
	return r;
}

/* Members of other disks. */

/* Does a volume that cannot be read lie on the device?  Another disk may have what is missing. */
static bool misses_members(const struct volume_set *set, const struct volume_device *device)
{
	for (size_t i = 0; i < set->nvolumes; i++)
		if (set->volumes[i]->error.code && volume_lies_on(set->volumes[i], device))
			return true;
	return false;
}

/* Leaves only partitions in the table that may be members of volumes on other disks.  False: there
 * are none. */
static bool keep_members(struct disk *d, const struct volume_set *set)
{
	struct partition_table *t = &d->table;
	size_t n = 0;

	if (t->n == 0)
		return misses_members(set, volume_set_device(set, 0, 0));
	for (size_t i = 0; i < t->n; i++) {
		const struct volume_device *device = volume_set_device(set, 0, t->parts[i].number);

		if (device && misses_members(set, device))
			t->parts[n++] = t->parts[i];
		else
			free(t->parts[i].partlabel);
	}
	t->n = n;
	return n > 0;
}

/* False: the disk has no members of volumes on others, or it cannot be read. */
static bool look_at(struct disk *d)
{
	const struct volume_disk disk = {.view = d->img->states[0]->view, .table = &d->table};
	struct err ignored = ERR_INIT;
	struct volume_set *set;
	bool keep;

	if (partition_table_read(disk.view, d->img->sector_size, &d->table, &ignored) < 0 ||
		volume_set_read(&disk, 1, d->img->opts, &set, &ignored) < 0)
		return false;
	keep = keep_members(d, set);
	volume_set_free(set);
	return keep;
}

/* The image. */

static void disks_free(struct disks *d)
{
	for (size_t i = 0; i < d->n; i++) {
		partition_table_free(&d->list[i].table);
		image_close(d->list[i].img);
	}
	fingerprint_free(&d->left_out);
	free(d->list);
	free(d->seen);
	free(d);
}

static void disks_close(struct image *img)
{
	disks_free(img->priv);
}

/* Not in the registry: it is no format of a file. */
static const struct format disks_format = {
	.name = "disks", .title = "several disks", .close = disks_close};

const struct fingerprint *disks_left_out(const struct image *img, bool *locked)
{
	const struct disks *d = img->priv;

	*locked = d->locked;
	return &d->left_out;
}

const struct volume_disk *disks_of(const struct image *img, size_t *n)
{
	const struct disks *d = img->priv;

	if (img->format != &disks_format)
		return NULL;
	*n = d->n;
	return d->seen;
}

static int add_disk(struct disks *d, const struct disk *disk, struct err *e)
{
	struct disk *list = array_grow(d->list, d->n, sizeof list[0]);

	if (!list)
		return err_nomem(e);
	d->list = list;
	list[d->n++] = *disk;
	return 0;
}

static void disk_close(struct disk *disk)
{
	partition_table_free(&disk->table);
	image_close(disk->img);
	*disk = (struct disk){.img = NULL};
}

/* Opens an image without a lock, and looks at it: the lock of a search would refuse who opens the
 * image for writing meanwhile.  Returns 1 if it is needed, 0 if it is not. */
static int search_place(struct disks *d, const struct disk_place *place,
	const struct image_options *o, struct err *e)
{
	struct image_options search = *o;
	struct disk disk = {.img = NULL};
	int r;

	search.nolock = true;
	search.warn = NULL;
	r = disk_open(place, &search, &disk.img, e);
	if (r < 0)
		return r;
	r = look_at(&disk);
	if (r == 0)
		r = fingerprint_add_image(&d->left_out, disk.img, e);
	disk_close(&disk);
	return r;
}

/* Opens one image, and keeps it if it is needed. */
static int try_place(struct disks *d, const struct disk_place *place, const struct image_options *o,
	struct err *e)
{
	struct disk disk = {.img = NULL};
	struct err why = ERR_INIT;
	int r = search_place(d, place, o, &why);

	if (r == 0)
		return 0;
	if (r > 0)
		r = disk_open(place, o, &disk.img, &why);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0) {
		d->locked |= r == -EBUSY;
		return fingerprint_add_path(&d->left_out, place->path, e);
	}
	/* Another program may have written to it since. */
	if (!look_at(&disk))
		r = fingerprint_add_image(&d->left_out, disk.img, e);
	else if (d->n == DISKS_MAX)
		r = err_set(
			e, E2BIG, "volumes that miss members are on more than %u disks", DISKS_MAX);
	else if ((r = add_disk(d, &disk, e)) == 0)
		return 0;
	disk_close(&disk);
	return r;
}

/* The files of the image are those of the disks, so that it changes with them. */
static int add_files(struct image *img, const struct disks *d, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < d->n; i++)
		for (const struct image *l = d->list[i].img; l; l = l->parent)
			for (size_t k = 0; r == 0 && k < l->nfiles; k++)
				r = image_add_file(img, l->files[k], e);
	return r;
}

static int show_disks(struct disks *d, struct err *e)
{
	d->seen = calloc(MAX(d->n, 1), sizeof d->seen[0]);
	if (!d->seen)
		return err_nomem(e);
	for (size_t i = 0; i < d->n; i++)
		d->seen[i] = (struct volume_disk){.view = d->list[i].img->states[0]->view,
			.table = &d->list[i].table,
			.name = image_basename(d->list[i].img)};
	return 0;
}

/* The image is as old as the youngest of its disks. */
static int add_state(struct image *img, const struct disks *d, struct err *e)
{
	struct view *view = view_broken(0, "these are several disks", e);
	struct state *state = view ? image_add_state(img, NULL, NULL, view, e) : NULL;

	if (!state) {
		view_free(view);
		return -e->code;
	}
	for (size_t i = 0; i < d->n; i++) {
		struct timespec when = d->list[i].img->states[0]->when;

		if (when.tv_sec > state->when.tv_sec)
			state->when = when;
	}
	return 0;
}

/* Takes d. */
static int make_image(
	struct disks *d, const struct image_options *o, struct image **out, struct err *e)
{
	struct image *img = calloc(1, sizeof *img);
	int r;

	if (!img) {
		disks_free(d);
		return err_nomem(e);
	}
	pthread_mutex_init(&img->states_lock, NULL);
	img->format = &disks_format;
	img->opts = o;
	img->priv = d;
	img->io = io_from_memory("", 0, "disks", e);
	r = img->io ? add_files(img, d, e) : -e->code;
	if (r == 0)
		r = show_disks(d, e);
	if (r == 0)
		r = add_state(img, d, e);
	if (r < 0)
		image_close(img);
	else
		*out = img;
	return r;
}

int disks_open(const struct disk_place *places, size_t n, const struct image_options *o,
	struct image **img, struct err *e)
{
	struct disks *d = calloc(1, sizeof *d);
	int r = d ? 0 : err_nomem(e);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = try_place(d, &places[i], o, e);
	if (r == 0)
		return make_image(d, o, img, e);
	if (d)
		disks_free(d);
	return r;
}
