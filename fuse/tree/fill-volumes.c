/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill-volumes.c - partitions, volumes, and links to them by label and UUID.
 *
 * The links by label and UUID of file systems lie beside disk.raw, since a file system can lie in a
 * partition, in a volume or on the whole disk; partitions/ has links to these directories.  The
 * volumes are read only when they are listed or when a link is looked up, since to open an
 * encrypted one takes seconds.
 */
#include "fill-volumes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/image.h"
#include "open/disks.h"
#include "view/view.h"
#include "volume/volume.h"
#include "util/filename.h"
#include "base/log.h"
#include "fill-list.h"
#include "node.h"
#include "tree.h"

/* The directories of links that udev has in /dev/disk. */
static const char *const link_dirs[NLINK_KEYS] = {
	[LINK_LABEL] = "by-label",
	[LINK_UUID] = "by-uuid",
	[LINK_PARTLABEL] = "by-partlabel",
	[LINK_PARTUUID] = "by-partuuid",
};

static int add_links_dir(struct fill_list *list, enum link_key key)
{
	struct node *node = fill_list_add(list, NODE_LINKS, link_dirs[key]);

	if (!node)
		return -ENOMEM;
	node->link_key = key;
	node->ignores_case = key == LINK_UUID || key == LINK_PARTUUID;
	return 0;
}

/* The table is read before the directory is listed, since a disk without partitions, or with a
 * table that cannot be read, has no directory of partitions. */
static int read_table(struct fill_list *list, struct partition_table *table)
{
	const struct view *disk = list->shown.state->view;
	struct err e = ERR_INIT;
	int ret = partition_table_read(disk, list->shown.img->sector_size, table, &e);
	const char *damage = ret < 0 ? e.text : table->damage;
	char path[512];

	if (damage) {
		node_path(list->nodes[0], path, sizeof path);
		log_error(list->dir->tree->log, "%s: partition table: %s", path, damage);
	}
	return ret == -ENOMEM ? ret : 0;
}

/* Takes the table on success. */
static int add_partitions_dir(struct fill_list *list, struct partition_table **table)
{
	struct node *node = fill_list_add(list, NODE_PARTITIONS, "partitions");

	if (!node)
		return -ENOMEM;
	node->table = *table;
	*table = NULL;
	return 0;
}

/* Has a file system a label, or a UUID? */
struct has_names {
	bool label, uuid;
};

static void look_for_names(const struct view *v, struct has_names *has)
{
	struct filesystem id = {0};
	struct err ignored = ERR_INIT;

	if (filesystem_read(v, &id, &ignored) < 0)
		return;
	has->label |= id.label[0] != '\0';
	has->uuid |= id.uuid[0] != '\0';
}

/* The same of those in the partitions, or on the disk without partitions. */
static struct has_names find_names(struct view *disk, const struct partition_table *table)
{
	struct has_names has = {false};
	struct err ignored = ERR_INIT;

	if (table->n == 0)
		look_for_names(disk, &has);
	for (size_t i = 0; i < table->n && !(has.label && has.uuid); i++) {
		struct view *part =
			view_slice(disk, table->parts[i].start, table->parts[i].len, &ignored);

		if (part)
			look_for_names(part, &has);
		view_free(part);
	}
	return has;
}

static int any_volume(const struct volume_disk *disk, const struct image_options *how, bool *any)
{
	struct volume_set *set;
	struct err e = ERR_INIT;
	int ret = volume_set_probe(disk, 1, how, &set, &e);

	if (ret < 0)
		return ret;
	*any = volume_set_has_members(set);
	volume_set_free(set);
	return 0;
}

/* A directory of links is there if it has any, as far as is known without opening volumes. */
int fill_add_volume_dirs(struct fill_list *list)
{
	struct partition_table *table = calloc(1, sizeof *table);
	struct volume_disk disk = {.view = list->shown.state->view, .table = table};
	struct has_names has = {false};
	bool has_volumes = false;
	int ret = table ? read_table(list, table) : -ENOMEM;

	if (ret == 0)
		ret = any_volume(&disk, list->shown.img->opts, &has_volumes);
	if (ret == 0 && !has_volumes)
		has = find_names(disk.view, table);
	if (ret == 0 && table->n > 0)
		ret = add_partitions_dir(list, &table);
	if (table)
		partition_table_free(table);
	free(table);
	if (ret == 0 && has_volumes)
		ret = fill_list_add(list, NODE_VOLUMES, "volumes") ? 0 : -ENOMEM;
	if (ret == 0 && (has.label || has_volumes))
		ret = add_links_dir(list, LINK_LABEL);
	if (ret == 0 && (has.uuid || has_volumes))
		ret = add_links_dir(list, LINK_UUID);
	return ret;
}

/* Files. */

/* A file whose file system cannot be read is shown without label and UUID. */
static int identify(struct fill_list *list, struct node *node, struct filesystem *id, struct err *e)
{
	struct view *view;
	char path[512];
	int ret = shown_view(node, &list->shown, &view, e);

	if (ret < 0)
		return ret;
	if (filesystem_read(view, id, e) < 0) {
		*id = (struct filesystem){0};
		node_path(node, path, sizeof path);
		log_error(node->tree->log, "%s: %s", path, e->text);
	}
	return 0;
}

/* The file N.raw. */
static int add_partition(struct fill_list *list, const struct partition *entry)
{
	struct err e = ERR_INIT;
	struct node *node;
	char name[32];

	snprintf(name, sizeof name, "%u.raw", entry->number);
	node = fill_list_add(list, NODE_PARTITION, name);
	if (!node || !(node->part = calloc(1, sizeof *node->part)))
		return -ENOMEM;
	node->part->entry = entry;
	return identify(list, node, &node->part->id, &e);
}

/* A link to one of the directories beside, if it is there. */
static int add_old_place(struct fill_list *list, enum link_key key)
{
	struct node *link = NULL, *place;
	int ret = tree_lookup(list->dir->parent, link_dirs[key], &place);

	if (ret < 0 || !place)
		return ret;
	node_put(place, 1);
	link = fill_list_add(list, NODE_LINK, link_dirs[key]);
	if (!link)
		return -ENOMEM;
	if (asprintf(&link->text, "../%s", link_dirs[key]) >= 0)
		return 0;
	link->text = NULL;
	return -ENOMEM;
}

static bool has_any(const struct partition_table *table, enum link_key key)
{
	for (size_t i = 0; i < table->n; i++)
		if (key == LINK_PARTLABEL ? table->parts[i].partlabel != NULL
					  : table->parts[i].partuuid[0] != '\0')
			return true;
	return false;
}

int fill_partitions(struct fill_list *list)
{
	const struct partition_table *table = list->dir->table;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < table->n; i++)
		ret = add_partition(list, &table->parts[i]);
	for (enum link_key key = LINK_LABEL; ret == 0 && key <= LINK_UUID; key++)
		ret = add_old_place(list, key);
	for (enum link_key key = LINK_PARTLABEL; ret == 0 && key <= LINK_PARTUUID; key++)
		if (has_any(table, key))
			ret = add_links_dir(list, key);
	return ret;
}

static char *volume_file_name(const struct volume *v)
{
	char *name;

	return asprintf(&name, "%s.%s", v->name, v->error.code ? "error.txt" : "raw") < 0 ? NULL
											  : name;
}

static int add_volume(struct fill_list *list, struct filename_set *names, struct volume_set *set,
	const struct volume *v)
{
	char *name = volume_file_name(v);
	struct node *node = NULL;
	struct err e = ERR_INIT;

	if (name)
		node = fill_list_add_named(
			list, v->error.code ? NODE_ERROR : NODE_VOLUME, names, name);
	free(name);
	if (!node)
		return -ENOMEM;
	node->mtime = list->dir->mtime;
	if (v->error.code)
		return fill_list_error(node, &v->error);
	node->volume = calloc(1, sizeof *node->volume);
	if (!node->volume)
		return -ENOMEM;
	node->volume->entry = v;
	node->volume->set = volume_set_ref(set);
	return identify(list, node, &node->volume->id, &e);
}

/* The files hold the set, and the directory does not: it may show another generation of several
 * disks when it is listed again. */
static int read_set(struct fill_list *list, struct volume_set **set, struct err *e)
{
	const struct image *img = list->shown.img;
	struct partition_table table = {.n = 0};
	const struct volume_disk disk = {.view = list->shown.state->view, .table = &table};
	size_t n = 1;
	const struct volume_disk *disks = disks_of(img, &n);
	int ret = 0;

	if (!disks)
		ret = partition_table_read(disk.view, img->sector_size, &table, e);
	if (ret == 0)
		ret = volume_set_read(disks ? disks : &disk, n, img->opts, set, e);
	partition_table_free(&table);
	return ret;
}

int fill_volumes(struct fill_list *list)
{
	bool spanning = list->dir->kind == NODE_SPANNING;
	struct filename_set names = {0};
	struct err e = ERR_INIT;
	struct volume_set *set;
	int ret = read_set(list, &set, &e);

	if (ret < 0) {
		log_error(list->dir->tree->log, "volumes: %s", e.text);
		return ret;
	}
	for (size_t i = 0; ret == 0 && i < set->nvolumes; i++)
		if (!spanning || volume_spans_disks(set->volumes[i]))
			ret = add_volume(list, &names, set, set->volumes[i]);
	filename_set_clear(&names);
	volume_set_free(set);
	return ret;
}

/* Links. */

/* The words of a partition or a volume that a link to it may have as its name. */
static const char *key_of(const struct node *node, enum link_key key)
{
	const struct filesystem *id = node->kind == NODE_PARTITION ? &node->part->id
				      : node->kind == NODE_VOLUME  ? &node->volume->id
								   : NULL;

	if (!id)
		return NULL;
	switch (key) {
	case LINK_LABEL:
		return id->label;
	case LINK_UUID:
		return id->uuid;
	case LINK_PARTLABEL:
		return node->kind == NODE_PARTITION ? node->part->entry->partlabel : NULL;
	case LINK_PARTUUID:
		return node->kind == NODE_PARTITION ? node->part->entry->partuuid : NULL;
	default:
		return NULL;
	}
}

/* Adds a link unless the name is in use.  Labels may be "." or "..", and longer than a file name
 * once they are encoded. */
static int add_link(
	struct fill_list *links, struct filename_set *names, const char *key, const char *target)
{
	char *encoded = filesystem_encode(key);
	char *name = encoded ? filename_escape(encoded) : NULL;
	struct node *link;
	int ret = name ? 0 : -ENOMEM;

	if (name && *name && filename_set_claim(names, name)) {
		link = fill_list_add(links, NODE_LINK, name);
		if (!link || !(link->text = strdup(target)))
			ret = -ENOMEM;
	}
	free(encoded);
	free(name);
	return ret;
}

/* Adds a link to each file of a directory that has the key; prefix: from the links to it. */
static int add_links(
	struct fill_list *links, struct filename_set *names, struct node *dir, const char *prefix)
{
	struct dir *files;
	int ret = tree_list(dir, &files);

	if (ret < 0)
		return ret;
	for (size_t i = 0; ret == 0 && i < files->n; i++) {
		const char *key = key_of(files->nodes[i], links->dir->link_key);
		char *target;

		if (!key || !*key)
			continue;
		if (asprintf(&target, "%s%s", prefix, files->nodes[i]->name) < 0)
			ret = -ENOMEM;
		else {
			ret = add_link(links, names, key, target);
			free(target);
		}
	}
	tree_unlist(files);
	return ret;
}

/* The same for a directory that lies beside the one of the links, if there is one. */
static int add_links_beside(struct fill_list *links, struct filename_set *names, const char *name)
{
	struct node *dir;
	char prefix[32];
	int ret = tree_lookup(links->dir->parent, name, &dir);

	if (ret < 0 || !dir)
		return ret;
	snprintf(prefix, sizeof prefix, "../%s/", name);
	ret = add_links(links, names, dir, prefix);
	node_put(dir, 1);
	return ret;
}

static int add_link_to_disk(struct fill_list *links, struct filename_set *names)
{
	struct filesystem id = {0};
	struct err e = ERR_INIT;
	const char *key;

	if (filesystem_read(links->shown.state->view, &id, &e) < 0)
		return 0;
	key = links->dir->link_key == LINK_LABEL ? id.label : id.uuid;
	return *key ? add_link(links, names, key, "../disk.raw") : 0;
}

int fill_links(struct fill_list *links)
{
	struct filename_set names = {0};
	int ret;

	if (links->dir->parent->kind == NODE_PARTITIONS) {
		ret = add_links(links, &names, links->dir->parent, "../");
	} else {
		ret = add_links_beside(links, &names, "partitions");
		if (ret == 0)
			ret = add_links_beside(links, &names, "volumes");
		if (ret == 0 && links->n == 0)
			ret = add_link_to_disk(links, &names);
	}
	filename_set_clear(&names);
	return ret;
}
