/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.c - see json.h. */
#include "json.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "image/image.h"
#include "image/info.h"
#include "partition/filesystem.h"
#include "partition/partition.h"
#include "report.h"
#include "util/err.h"
#include "view/view.h"

int json_print(struct json_object *o)
{
	struct err e = ERR_INIT;
	char *text = info_text(o, &e);

	json_object_put(o);
	if (!text)
		return report_failure(&e);
	fputs(text, stdout);
	free(text);
	return EXIT_SUCCESS;
}

const char *json_text(struct json_object *o, const char *key)
{
	return json_object_get_string(json_object_object_get(o, key));
}

void json_add_number(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

/* Text of a guest may be invalid UTF-8, which JSON must not contain. */
static void add_text(struct json_object *o, const char *key, const char *text)
{
	char clean[ERR_TEXT];

	if (!text || !text[0])
		return;
	snprintf(clean, sizeof clean, "%s", text);
	err_clean(clean);
	json_object_object_add(o, key, json_object_new_string(clean));
}

/* Adds no "content" for an unknown file system. */
static void add_content(struct json_object *o, const struct view *part)
{
	struct err e = ERR_INIT;
	struct json_object *content;
	struct filesystem id;

	if (filesystem_read(part, &id, &e) < 0) {
		add_text(o, "error", e.text);
		return;
	}
	if (!id.type[0])
		return;
	content = json_object_new_object();
	add_text(content, "type", id.type);
	add_text(content, "description", filesystem_describe(id.type));
	add_text(content, "label", id.label);
	add_text(content, "uuid", id.uuid);
	json_object_object_add(o, "content", content);
}

static struct json_object *partition_object(struct view *disk, const struct partition *p)
{
	struct json_object *o = json_object_new_object();
	struct err e = ERR_INIT;
	struct view *part = view_slice(disk, p->start, p->len, &e);

	json_add_number(o, "number", p->number);
	json_add_number(o, "start", p->start);
	json_add_number(o, "size", p->len);
	add_text(o, "type", p->type);
	add_text(o, "name", p->partlabel);
	add_text(o, "uuid", p->partuuid);
	if (part)
		add_content(o, part);
	else
		add_text(o, "error", e.text);
	view_free(part);
	return o;
}

static struct json_object *table_object(struct view *disk, const struct partition_table *t)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	add_text(o, "type", t->scheme);
	add_text(o, "id", t->id);
	add_text(o, "damage", t->damage);
	for (size_t i = 0; i < t->n; i++)
		json_object_array_add(list, partition_object(disk, &t->parts[i]));
	json_object_object_add(o, "partitions", list);
	return o;
}

void json_add_contents(struct json_object *o, const struct image *img)
{
	struct view *disk = img->states[0]->view;
	struct err e = ERR_INIT;
	struct partition_table t = {0};

	if (partition_table_read(disk, img->sector_size, &t, &e) < 0)
		add_text(o, "error", e.text);
	else if (t.scheme)
		json_object_object_add(o, "partition-table", table_object(disk, &t));
	else
		add_content(o, disk);
	partition_table_free(&t);
}
