/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list.c - the disks of an image, with what is known of their contents. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "handle.h"
#include "image/format.h"
#include "partition/filesystem.h"
#include "partition/partition.h"
#include "view/view.h"
#include "volume/volume.h"
#include "volumes.h"

struct list {
	struct vdisk_image *image;
	const struct place *place;
	char *prefix; /* see place_prefix */
	struct volumes *volumes;
	struct partition_table table;
	vdisk_found *found;
	void *arg;
};

/* An entry while its texts are made. */
struct found {
	struct vdisk_entry entry;
	struct filesystem id;
	char description[ERR_TEXT];
	char error[ERR_TEXT];
};

__attribute__((format(printf, 2, 3))) static void describe(struct found *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->description, sizeof f->description, fmt, ap);
	va_end(ap);
	err_clean(f->description);
}

static void set_error(struct found *f, const struct err *e)
{
	snprintf(f->error, sizeof f->error, "%s", e->text);
	f->entry.error = f->error;
}

/* Sets the size and the content.  device: the same bytes as a device of the set, or NULL. */
static void look(struct found *f, const struct view *v, const struct volume_device *device)
{
	const char *type = f->id.type, *words;
	struct err e = ERR_INIT;

	f->entry.size = v->size;
	if (filesystem_read(v, &f->id, &e) < 0) {
		set_error(f, &e);
		return;
	}
	if (device && device->type)
		snprintf(f->id.type, sizeof f->id.type, "%s", device->type);
	err_clean(f->id.label);
	words = filesystem_describe(type);
	if (words && device && device->label)
		describe(f, "%s of %s", words, device->label);
	else if (f->id.label[0])
		describe(f, "%s, label %s", words ? words : type, f->id.label);
	else
		describe(f, "%s", words ? words : type);
}

/* Calls found for the path prefix + name, which it frees. */
static int give(const struct list *l, struct found *f, char *path)
{
	int r;

	if (!path)
		return -ENOMEM;
	f->entry.path = path;
	f->entry.type = f->id.type;
	f->entry.label = f->id.label;
	f->entry.uuid = f->id.uuid;
	f->entry.description = f->description;
	r = l->found(l->arg, &f->entry);
	free(path);
	return r;
}

__attribute__((format(printf, 1, 2))) static char *text_of(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

/* The path of the whole disk has no "/" at its end. */
static char *whole_path(const struct list *l)
{
	size_t n = strlen(l->prefix);

	return strndup(l->prefix, n > 0 ? n - 1 : 0);
}

static int give_whole(const struct list *l)
{
	struct found f = {.entry.kind = l->place->kind};

	if (l->table.scheme) {
		f.entry.size = l->place->state->view->size;
		describe(&f, "%s, %zu partition%s", l->table.scheme, l->table.n,
			l->table.n == 1 ? "" : "s");
	} else {
		look(&f, l->place->state->view, volume_set_device(volumes_set(l->volumes), 0, 0));
	}
	if (l->place->kind == VDISK_SNAPSHOT)
		f.entry.time = l->place->state->when.tv_sec;
	return give(l, &f, whole_path(l));
}

static int give_partition(const struct list *l, const struct partition *p)
{
	struct found f = {.entry.kind = VDISK_PARTITION, .entry.size = p->len};
	struct err e = ERR_INIT;
	struct view *view = view_slice(l->place->state->view, p->start, p->len, &e);

	if (view)
		look(&f, view, volume_set_device(volumes_set(l->volumes), 0, p->number));
	else
		set_error(&f, &e);
	view_free(view);
	return give(l, &f, text_of("%spartitions/%u", l->prefix, p->number));
}

static int give_volume(const struct list *l, const struct volume *v)
{
	const struct volume_set *set = volumes_set(l->volumes);
	struct found f = {.entry.kind = VDISK_VOLUME};
	struct err e = v->error;
	struct view *view = e.code ? NULL : volumes_view(l->volumes, v, &e);
	char *name = place_volume_name(v);
	int r;

	if (view)
		look(&f, view, volume_set_find_device(set, v));
	else
		set_error(&f, &e);
	r = name ? give(l, &f, text_of("%svolumes/%s", l->prefix, name)) : -ENOMEM;
	free(name);
	return r;
}

static int give_snapshots(const struct list *l)
{
	const struct image *img = l->place->img;
	struct err e = ERR_INIT;
	char **names = place_snapshot_names(img, &e);
	int r = names ? 0 : -ENOMEM;

	for (size_t i = 1; r == 0 && i < img->nstates; i++) {
		const struct state *s = img->states[i];
		struct found f = {.entry.kind = VDISK_SNAPSHOT, .entry.size = s->view->size};

		f.entry.time = s->when.tv_sec;
		describe(&f, "snapshot %s", state_title(s));
		r = give(l, &f, text_of("%ssnapshots/%s", l->prefix, names[i - 1]));
	}
	place_free_names(names, img->nstates - 1);
	return r;
}

static int give_chain(const struct list *l)
{
	const struct image *img = l->place->img->parent;
	int r = 0;

	for (unsigned layer = 1; r == 0 && img; img = img->parent, layer++) {
		struct found f = {.entry.kind = VDISK_LIVE};

		f.entry.size = img->states[0]->view->size;
		describe(&f, "%s, %s", image_basename(img), img->format->name);
		r = give(l, &f, text_of("chain/%u", layer));
	}
	return r;
}

static int give_all(const struct list *l)
{
	const struct volume_set *set = volumes_set(l->volumes);
	int r = give_whole(l);

	for (size_t i = 0; r == 0 && i < l->table.n; i++)
		r = give_partition(l, &l->table.parts[i]);
	for (size_t i = 0; r == 0 && i < set->nvolumes; i++)
		r = give_volume(l, set->volumes[i]);
	if (r == 0 && l->place->kind == VDISK_LIVE)
		r = give_snapshots(l);
	if (r == 0 && l->place->kind == VDISK_LIVE && l->place->layer == 0)
		r = give_chain(l);
	return r;
}

static int give_part(const struct list *l, struct err *e)
{
	const struct partition *p;
	const struct volume *v;

	if (l->place->kind == VDISK_PARTITION) {
		p = place_partition(l->place, &l->table, e);
		return p ? give_partition(l, p) : -e->code;
	}
	v = place_volume(l->place, volumes_set(l->volumes), e);
	return v ? give_volume(l, v) : -e->code;
}

/* A disk whose partition table cannot be read is listed alone. */
static int list(struct list *l, struct err *e)
{
	const struct place *place = l->place;
	struct err of_table = ERR_INIT;
	int r;

	l->prefix = place_prefix(place);
	if (!l->prefix)
		return err_nomem(e);
	if (partition_table_read(
		    place->state->view, place->img->sector_size, &l->table, &of_table) < 0) {
		struct found f = {
			.entry.kind = place->kind, .entry.size = place->state->view->size};

		set_error(&f, &of_table);
		return give(l, &f, whole_path(l));
	}
	r = volumes_get(l->image, place, &l->volumes, e);
	if (r < 0)
		return r;
	return place->kind == VDISK_LIVE || place->kind == VDISK_SNAPSHOT ? give_all(l)
									  : give_part(l, e);
}

int vdisk_list(struct vdisk_image *image, const char *path, vdisk_found *found, void *arg,
	struct vdisk_error *error)
{
	struct list l = {.image = image, .found = found, .arg = arg};
	struct err e = ERR_INIT;
	struct place place;
	int r = place_find(&place, image->img, path, &e);

	if (r < 0)
		return handle_fail(error, &e);
	l.place = &place;
	r = list(&l, &e);
	volumes_put(l.volumes);
	partition_table_free(&l.table);
	free(l.prefix);
	place_drop(&place);
	return e.code ? handle_fail(error, &e) : r;
}
