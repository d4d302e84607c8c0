/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xattr.c - extended attributes: what a file shows. */
#include "xattr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/format.h"
#include "tree/new-image.h"
#include "image/image.h"
#include "open/package.h"
#include "tree/node.h"
#include "tree/shown.h"
#include "view/view.h"

/* A value in text, malloc'ed; *value NULL: this node has no such attribute.  img is the pinned
 * image of the node.  -ENOMEM. */
typedef int xattr_value(const struct node *node, const struct shown *shown, char **value);

static int value_text(const char *text, char **value)
{
	if (!text || !*text)
		return 0;
	*value = strdup(text);
	return *value ? 0 : -ENOMEM;
}

static int value_number(uint64_t number, char **value)
{
	if (asprintf(value, "%llu", (unsigned long long)number) >= 0)
		return 0;
	*value = NULL;
	return -ENOMEM;
}

static bool shows_a_state(const struct node *node)
{
	return node->kind == NODE_DISK || node->kind == NODE_PARTITION ||
	       node->kind == NODE_IMAGE || node->kind == NODE_SNAPSHOT;
}

static int get_format(const struct node *node, const struct shown *shown, char **value)
{
	return shows_a_state(node) ? value_text(shown->img->format->name, value) : 0;
}

static int get_virtual_size(const struct node *node, const struct shown *shown, char **value)
{
	return shows_a_state(node) ? value_number(shown->state->view->size, value) : 0;
}

static int get_layer(const struct node *node, const struct shown *shown, char **value)
{
	if (!shows_a_state(node))
		return 0;
	*value = node_layer_name(shown->img, node->state_dir->layer);
	return *value ? 0 : -ENOMEM;
}

static int get_snapshot_name(const struct node *node, const struct shown *shown, char **value)
{
	int ret;

	if (!shows_a_state(node))
		return 0;
	states_lock(shown->img);
	ret = value_text(shown->state->name, value);
	states_unlock(shown->img);
	return ret;
}

static int get_snapshot_id(const struct node *node, const struct shown *shown, char **value)
{
	return shows_a_state(node) ? value_text(shown->state->id, value) : 0;
}

static int get_package(const struct node *node, const struct shown *shown, char **value)
{
	const char *package = shown->img->gate.package_path;

	return shows_a_state(node) && package ? value_text(package, value) : 0;
}

static int get_manifest(const struct node *node, const struct shown *shown, char **value)
{
	struct err e = ERR_INIT;

	return shows_a_state(node) ? package_verify(shown->img, value, &e) : 0;
}

static int get_start(const struct node *node, const struct shown *shown, char **value)
{
	(void)shown;
	return node->kind == NODE_PARTITION ? value_number(node->part->entry->start, value) : 0;
}

static int get_type(const struct node *node, const struct shown *shown, char **value)
{
	(void)shown;
	return node->kind == NODE_PARTITION ? value_text(node->part->entry->type, value) : 0;
}

static int get_fstype(const struct node *node, const struct shown *shown, char **value)
{
	(void)shown;
	return node->kind == NODE_PARTITION ? value_text(node->part->id.type, value) : 0;
}

static int get_label(const struct node *node, const struct shown *shown, char **value)
{
	(void)shown;
	return node->kind == NODE_PARTITION ? value_text(node->part->id.label, value) : 0;
}

static int get_uuid(const struct node *node, const struct shown *shown, char **value)
{
	(void)shown;
	return node->kind == NODE_PARTITION ? value_text(node->part->id.uuid, value) : 0;
}

static int get_partlabel(const struct node *node, const struct shown *shown, char **value)
{
	(void)shown;
	return node->kind == NODE_PARTITION ? value_text(node->part->entry->partlabel, value) : 0;
}

static int get_partuuid(const struct node *node, const struct shown *shown, char **value)
{
	(void)shown;
	return node->kind == NODE_PARTITION ? value_text(node->part->entry->partuuid, value) : 0;
}

static const struct {
	const char *name;
	xattr_value *get;
} xattrs[] = {
	{"user.vdisk.format", get_format},
	{"user.vdisk.virtual-size", get_virtual_size},
	{"user.vdisk.layer", get_layer},
	{"user.vdisk.snapshot.name", get_snapshot_name},
	{"user.vdisk.snapshot.id", get_snapshot_id},
	{"user.vdisk.package", get_package},
	{"user.vdisk.partition.start", get_start},
	{"user.vdisk.partition.type", get_type},
	{"user.vdisk.partition.fstype", get_fstype},
	{"user.vdisk.partition.label", get_label},
	{"user.vdisk.partition.uuid", get_uuid},
	{"user.vdisk.partition.partlabel", get_partlabel},
	{"user.vdisk.partition.partuuid", get_partuuid},
	{"user.vdisk.manifest", get_manifest},
};

#define XATTRS (sizeof xattrs / sizeof xattrs[0])

/* The last one reads whole disks.  It is there for who asks for it by name: programs that copy
 * files ask for all that are listed. */
#define LISTED (XATTRS - 1)

static int value_of(const struct node *node, size_t i, char **value)
{
	struct shown shown;
	struct err e = ERR_INIT;
	int ret = node->image ? shown_pin(node, &shown, &e) : -ENODATA;

	if (ret < 0)
		return ret;
	ret = xattrs[i].get(node, &shown, value);
	shown_unpin(node, &shown);
	return ret;
}

/* The value of an option of an image that was created in this mount. */
static ssize_t option_of(const struct node *node, const char *name, char **value)
{
	struct new_image *f = node_get_new_image(node);
	size_t prefix = strlen(XATTR_PREFIX);
	int ret = -ENODATA;

	if (f && strncmp(name, XATTR_PREFIX, prefix) == 0)
		ret = new_image_get_option(f, name + prefix, value);
	return ret < 0 ? ret : (ssize_t)strlen(*value);
}

ssize_t xattr_get(struct node *node, const char *name, char *buf, size_t size)
{
	char *value = NULL;
	ssize_t ret = -ENODATA;

	for (size_t i = 0; i < XATTRS; i++)
		if (strcmp(name, xattrs[i].name) == 0 && (ret = value_of(node, i, &value)) == 0)
			ret = value ? (ssize_t)strlen(value) : -ENODATA;
	if (ret == -ENODATA)
		ret = option_of(node, name, &value);
	if (ret > 0 && size > 0) {
		if ((size_t)ret <= size)
			memcpy(buf, value, (size_t)ret);
		else
			ret = -ERANGE;
	}
	free(value);
	return ret;
}

static ssize_t list_pinned(
	const struct node *node, const struct shown *shown, char *buf, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < LISTED; i++) {
		size_t len = strlen(xattrs[i].name) + 1;
		char *value = NULL;
		int ret = xattrs[i].get(node, shown, &value);
		bool has = value != NULL;

		free(value);
		if (ret < 0)
			return ret;
		if (!has)
			continue;
		if (size > 0 && used + len > size)
			return -ERANGE;
		if (size > 0)
			memcpy(buf + used, xattrs[i].name, len);
		used += len;
	}
	return (ssize_t)used;
}

/* "ls -l" asks this of each image in a directory, and shall not open them all. */
static bool is_cheap(const struct node *node)
{
	return node->image && !(node->place.of && node_is_top(node));
}

ssize_t xattr_list(struct node *node, char *buf, size_t size)
{
	struct shown shown;
	struct err e = ERR_INIT;
	ssize_t ret;

	if (!is_cheap(node))
		return 0;
	ret = shown_pin(node, &shown, &e);

	if (ret < 0)
		return ret;
	ret = list_pinned(node, &shown, buf, size);
	shown_unpin(node, &shown);
	return ret;
}
