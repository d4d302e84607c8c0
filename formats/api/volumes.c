/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volumes.h"

#include <stdlib.h>

#include "handle.h"
#include "partition/partition.h"
#include "view/view.h"
#include "volume/volume.h"

struct volumes {
	struct volumes *next;
	struct vdisk_image *image;
	struct state *state; /* held */
	const struct image *img;
	unsigned users;   /* image->lock */
	unsigned changes; /* of the image, when they were read */

	pthread_mutex_t lock;   /* held while they are read, which may take seconds */
	struct volume_set *set; /* NULL: not read yet */
	struct view **views;    /* of each volume; NULL: not needed yet */
};

static void volumes_free(struct volumes *v)
{
	for (size_t i = 0; v->views && i < v->set->nvolumes; i++)
		view_free(v->views[i]);
	free(v->views);
	volume_set_free(v->set);
	state_put(v->state);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

/* Do they lie in a disk that has changed? */
static bool is_outdated(const struct volumes *v)
{
	return v->users == 0 && v->img == v->image->img && v->state->no == 0 &&
	       v->changes != atomic_load(&v->image->changes);
}

static struct volumes *volumes_new(struct vdisk_image *image, const struct place *place)
{
	struct volumes *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	pthread_mutex_init(&v->lock, NULL);
	v->image = image;
	v->img = place->img;
	v->state = state_get(place->img, place->state->no);
	v->changes = atomic_load(&image->changes);
	v->next = image->volumes;
	image->volumes = v;
	return v;
}

/* With the lock of the image. */
static struct volumes *find(struct vdisk_image *image, const struct place *place)
{
	struct volumes **at = &image->volumes, *v;

	while (*at && (*at)->state != place->state)
		at = &(*at)->next;
	v = *at;
	if (v && is_outdated(v)) {
		*at = v->next;
		volumes_free(v);
		v = NULL;
	}
	if (!v)
		v = volumes_new(image, place);
	if (v)
		v->users++;
	return v;
}

/* With the lock of the volumes. */
static int read_set(struct volumes *v, struct err *e)
{
	struct partition_table table = {.n = 0};
	const struct volume_disk disk = {.view = v->state->view, .table = &table};
	struct volume_set *set = NULL;
	int r = partition_table_read(disk.view, v->img->sector_size, &table, e);

	if (r == 0)
		r = volume_set_read(&disk, 1, v->img->opts, &set, e);
	partition_table_free(&table);
	if (r < 0)
		return r;
	v->views = calloc(set->nvolumes + 1, sizeof v->views[0]);
	if (!v->views) {
		volume_set_free(set);
		return err_nomem(e);
	}
	v->set = set;
	return 0;
}

int volumes_get(
	struct vdisk_image *image, const struct place *place, struct volumes **out, struct err *e)
{
	struct volumes *v;
	int r = 0;

	pthread_mutex_lock(&image->lock);
	v = find(image, place);
	pthread_mutex_unlock(&image->lock);
	if (!v)
		return err_nomem(e);
	pthread_mutex_lock(&v->lock);
	if (!v->set)
		r = read_set(v, e);
	pthread_mutex_unlock(&v->lock);
	if (r < 0) {
		volumes_put(v);
		return r;
	}
	*out = v;
	return 0;
}

void volumes_put(struct volumes *v)
{
	if (!v)
		return;
	pthread_mutex_lock(&v->image->lock);
	v->users--;
	pthread_mutex_unlock(&v->image->lock);
}

const struct volume_set *volumes_set(const struct volumes *v)
{
	return v->set;
}

struct view *volumes_view(struct volumes *v, const struct volume *volume, struct err *e)
{
	struct view *view;
	size_t i = 0;

	while (v->set->volumes[i] != volume)
		i++;
	pthread_mutex_lock(&v->lock);
	if (!v->views[i])
		v->views[i] = volume_view(v->set, volume, &v->state->view, e);
	view = v->views[i];
	pthread_mutex_unlock(&v->lock);
	return view;
}

void volumes_forget(struct vdisk_image *image)
{
	while (image->volumes) {
		struct volumes *v = image->volumes;

		image->volumes = v->next;
		volumes_free(v);
	}
}
