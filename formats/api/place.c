/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "partition/partition.h"
#include "util/err.h"
#include "util/filename.h"
#include "util/nearest.h"
#include "volume/volume.h"

char **place_snapshot_names(const struct image *img, struct err *e)
{
	size_t n = img->nstates - 1;
	char **names = calloc(n + 1, sizeof names[0]);
	struct filename_set set = {0};
	bool good = names;

	for (size_t i = 0; good && i < n; i++) {
		names[i] = filename_set_add_raw(&set, state_title(img->states[i + 1]));
		good = names[i];
	}
	filename_set_clear(&set);
	if (good)
		return names;
	place_free_names(names, n);
	err_nomem(e);
	return NULL;
}

void place_free_names(char **names, size_t n)
{
	for (size_t i = 0; names && i < n; i++)
		free(names[i]);
	free(names);
}

char *place_volume_name(const struct volume *v)
{
	return filename_escape(v->name);
}

/* Cuts the part up to the next "/" off *path: its length. */
static size_t cut_part(const char **path)
{
	size_t n = strcspn(*path, "/");

	*path += n + ((*path)[n] == '/');
	return n;
}

static bool is_part(const char *part, size_t n, const char *name)
{
	return strlen(name) == n && memcmp(part, name, n) == 0;
}

/* Cuts a folder and its "/" off *path. */
static bool cut_folder(const char **path, const char *folder)
{
	size_t n = strlen(folder);

	if (strncmp(*path, folder, n) != 0 || (*path)[n] != '/' || (*path)[n + 1] == '\0')
		return false;
	*path += n + 1;
	return true;
}

/* Reads a number as vdiskfs writes it, at most six digits. */
static bool read_number(const char *part, size_t n, unsigned *number)
{
	*number = 0;
	for (size_t i = 0; i < n; i++) {
		if (part[i] < '0' || part[i] > '9' || n > 6)
			return false;
		*number = 10 * *number + (unsigned)(part[i] - '0');
	}
	return n > 0 && (part[0] != '0' || n == 1);
}

/* Is it the directory of a layer, in a mount? */
static bool is_layer_name(const struct image *img, unsigned layer, const char *part, size_t n)
{
	char *name = image_layer_name(img, layer);
	bool is = name && is_part(part, n, name);

	free(name);
	return is;
}

static int find_layer(struct place *place, const char **path, struct err *e)
{
	const char *part = *path;
	size_t n = cut_part(path);
	unsigned number;
	bool is_number = read_number(part, n, &number);

	for (; place->img; place->img = place->img->parent, place->layer++)
		if (is_number ? place->layer == number
			      : is_layer_name(place->img, place->layer, part, n))
			return 0;
	return err_set(e, ENOENT, "the chain has %u images, and none is \"%.*s\"", place->layer,
		(int)n, part);
}

static int find_snapshot(struct place *place, const char **path, struct err *e)
{
	const struct image *img = place->img;
	char **names = place_snapshot_names(img, e);
	const char *part = *path;
	size_t n = cut_part(path), i = 1;
	char *wanted;

	if (!names)
		return -e->code;
	while (i < img->nstates && !is_part(part, n, names[i - 1]))
		i++;
	place_free_names(names, img->nstates - 1);
	if (i < img->nstates) {
		place->kind = VDISK_SNAPSHOT;
		place->state = state_get(img, img->states[i]->no);
		return 0;
	}
	wanted = strndup(part, n);
	if (!wanted)
		return err_nomem(e);
	state_missing(img, wanted, e);
	free(wanted);
	return -e->code;
}

static int find_whole(
	struct place *place, const struct image *top, const char **path, struct err *e)
{
	int r = 0;

	*place = (struct place){.kind = VDISK_LIVE, .img = top};
	if (cut_folder(path, "chain"))
		r = find_layer(place, path, e);
	if (r == 0 && cut_folder(path, "snapshots"))
		r = find_snapshot(place, path, e);
	if (r == 0 && !place->state)
		place->state = state_get(place->img, 0);
	return r;
}

int place_find(struct place *place, const struct image *top, const char *path, struct err *e)
{
	const char *rest = path;
	int r = find_whole(place, top, &rest, e);

	if (r < 0 || *rest == '\0')
		return r;
	if (cut_folder(&rest, "volumes")) {
		place->kind = VDISK_VOLUME;
		place->volume = rest;
		return 0;
	}
	if (cut_folder(&rest, "partitions") && read_number(rest, strlen(rest), &place->partition)) {
		place->kind = VDISK_PARTITION;
		return 0;
	}
	place_drop(place);
	return err_set(e, ENOENT,
		"\"%s\" is no path of a disk, as \"partitions/1\", \"volumes/NAME\" and "
		"\"snapshots/NAME\" are",
		path);
}

void place_drop(struct place *place)
{
	state_put(place->state);
	place->state = NULL;
}

char *place_prefix(const struct place *place)
{
	const struct image *img = place->img;
	struct err ignored = ERR_INIT;
	char chain[32] = "", *prefix = NULL, **names;
	size_t i = 1;

	if (place->layer > 0)
		snprintf(chain, sizeof chain, "chain/%u/", place->layer);
	if (place->state->no == 0)
		return strdup(chain);
	while (img->states[i] != place->state)
		i++;
	names = place_snapshot_names(img, &ignored);
	if (names && asprintf(&prefix, "%ssnapshots/%s/", chain, names[i - 1]) < 0)
		prefix = NULL;
	place_free_names(names, img->nstates - 1);
	return prefix;
}

const struct partition *place_partition(
	const struct place *place, const struct partition_table *table, struct err *e)
{
	for (size_t i = 0; i < table->n; i++)
		if (table->parts[i].number == place->partition)
			return &table->parts[i];
	if (table->n == 0)
		err_set(e, ENOENT, "the disk has no partitions");
	else
		err_set(e, ENOENT, "the disk has %zu partitions, and none is number %u", table->n,
			place->partition);
	return NULL;
}

const struct volume *place_volume(
	const struct place *place, const struct volume_set *set, struct err *e)
{
	const struct volume *found = volume_find(set, place->volume);
	struct nearest near = nearest_to(place->volume);

	for (size_t i = 0; !found && i < set->nvolumes; i++) {
		char *name = place_volume_name(set->volumes[i]);

		if (name && strcmp(name, place->volume) == 0)
			found = set->volumes[i];
		free(name);
		nearest_offer(&near, set->volumes[i]->name);
	}
	if (found)
		return found;
	err_set(e, ENOENT, "the disk has %zu volumes, and none is \"%s\"", set->nvolumes,
		place->volume);
	if (near.best)
		err_hint(e, "there is \"%.*s\"", (int)near.length, near.best);
	return NULL;
}
