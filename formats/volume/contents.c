/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contents.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "partition/filesystem.h"
#include "partition/partition.h"
#include "util/err.h"
#include "view/view.h"
#include "image/facts.h"
#include "image/image.h"
#include "volume.h"

struct contents {
	const struct image *img;
	struct view *disk;
	struct partition_table table;
	struct volume_set *set; /* NULL: nothing is known of volumes */
};

/* Text of a guest may be invalid UTF-8, which JSON must not contain. */
static void add_text(struct json_object *o, const char *key, const char *text)
{
	char clean[ERR_TEXT];

	if (!text || !text[0])
		return;
	snprintf(clean, sizeof clean, "%s", text);
	err_clean(clean);
	facts_add_text(o, key, clean);
}

/* Adds no "content" for an unknown file system.  device: the same bytes as a device of the set, or
 * NULL. */
static void add_content(struct json_object *o, const struct view *part,
	const struct volume_device *device, bool has_keys)
{
	struct err e = ERR_INIT;
	struct json_object *content;
	struct filesystem id;

	if (filesystem_read(part, &id, &e) < 0) {
		add_text(o, "error", e.text);
		return;
	}
	if (device && device->type)
		snprintf(id.type, sizeof id.type, "%s", device->type);
	if (!id.type[0])
		return;
	content = json_object_new_object();
	add_text(content, "type", id.type);
	add_text(content, "description", filesystem_describe(id.type));
	add_text(content, "label", id.label);
	add_text(content, "uuid", id.uuid);
	if (device)
		add_text(content, "member-of", device->label);
	if (device && device->needs_key && !has_keys)
		json_object_object_add(content, "locked", json_object_new_boolean(true));
	json_object_object_add(o, "content", content);
}

static struct json_object *partition_object(const struct contents *c, const struct partition *p)
{
	struct json_object *o = json_object_new_object();
	struct err e = ERR_INIT;
	struct view *part = view_slice(c->disk, p->start, p->len, &e);

	facts_add_number(o, "number", p->number);
	facts_add_number(o, "start", p->start);
	facts_add_number(o, "size", p->len);
	add_text(o, "type", p->type);
	add_text(o, "name", p->partlabel);
	add_text(o, "uuid", p->partuuid);
	if (part)
		add_content(o, part, c->set ? volume_set_device(c->set, 0, p->number) : NULL,
			c->img->opts->secrets);
	else
		add_text(o, "error", e.text);
	view_free(part);
	return o;
}

static void add_table(struct json_object *o, const struct contents *c)
{
	struct json_object *table = json_object_new_object(), *list = json_object_new_array();

	add_text(table, "type", c->table.scheme);
	add_text(table, "id", c->table.id);
	add_text(table, "damage", c->table.damage);
	for (size_t i = 0; i < c->table.n; i++)
		json_object_array_add(list, partition_object(c, &c->table.parts[i]));
	json_object_object_add(table, "partitions", list);
	json_object_object_add(o, "partition-table", table);
}

static struct json_object *members_of(const struct volume *v)
{
	struct json_object *list = json_object_new_array();
	char name[ERR_TEXT];

	for (size_t i = 0; i < v->nmembers; i++) {
		snprintf(name, sizeof name, "%s", v->members[i]->name);
		err_clean(name);
		json_object_array_add(list, json_object_new_string(name));
	}
	return list;
}

static struct json_object *volume_object(const struct contents *c, const struct volume *v)
{
	struct json_object *o = json_object_new_object();
	struct err e = ERR_INIT;
	struct view *view;

	add_text(o, "name", v->name);
	add_text(o, "path", v->path);
	add_text(o, "kind", v->kind);
	add_text(o, "layout", v->layout);
	add_text(o, "uuid", v->uuid);
	json_object_object_add(o, "members", members_of(v));
	if (v->error.code) {
		add_text(o, "error", v->error.text);
		return o;
	}
	facts_add_number(o, "size", v->size);
	view = volume_view(c->set, v, &c->disk, &e);
	if (view)
		add_content(o, view, volume_set_find_device(c->set, v), c->img->opts->secrets);
	else
		add_text(o, "error", e.text);
	view_free(view);
	return o;
}

static void add_volumes(struct json_object *o, const struct contents *c)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < c->set->nvolumes; i++)
		json_object_array_add(list, volume_object(c, c->set->volumes[i]));
	json_object_object_add(o, "volumes", list);
}

void contents_add(
	struct json_object *o, const struct image *img, const struct state *state, bool volumes)
{
	struct contents c = {.img = img, .disk = state->view};
	struct volume_disk disk = {.view = c.disk, .table = &c.table};
	struct err e = ERR_INIT;
	int r = partition_table_read(c.disk, img->sector_size, &c.table, &e);

	if (r == 0)
		r = volumes ? volume_set_read(&disk, 1, img->opts, &c.set, &e)
			    : volume_set_probe(&disk, 1, img->opts, &c.set, &e);
	if (r < 0)
		add_text(o, "error", e.text);
	else if (c.table.scheme)
		add_table(o, &c);
	else
		add_content(o, c.disk, volume_set_device(c.set, 0, 0), img->opts->secrets);
	if (r == 0 && c.set->nvolumes > 0)
		add_volumes(o, &c);
	volume_set_free(c.set);
	partition_table_free(&c.table);
}
