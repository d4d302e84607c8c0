/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xattr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "view/view.h"
#include "image/format.h"
#include "image/image.h"
#include "volume/volume.h"
#include "open/package.h"
#include "tree/new-image.h"
#include "tree/node.h"
#include "tree/shown.h"

enum xattr {
	/* of what shows a state */
	FORMAT,
	VIRTUAL_SIZE,
	LAYER,
	SNAPSHOT_NAME,
	SNAPSHOT_ID,
	PACKAGE,
	/* of a partition */
	START,
	TYPE,
	FSTYPE,
	LABEL,
	UUID,
	PARTLABEL,
	PARTUUID,
	/* of a volume */
	VOLUME_KIND,
	VOLUME_PATH,
	VOLUME_LAYOUT,
	VOLUME_UUID,
	VOLUME_PARTITIONS,
	VOLUME_FSTYPE,
	VOLUME_FSLABEL,
	VOLUME_FSUUID,
	/* Verified by reading whole disks, so it is not listed: programs that copy files read all
	 * attributes that are. */
	MANIFEST,
};

static const char *const names[] = {
	[FORMAT] = "user.vdisk.format",
	[VIRTUAL_SIZE] = "user.vdisk.virtual-size",
	[LAYER] = "user.vdisk.layer",
	[SNAPSHOT_NAME] = "user.vdisk.snapshot.name",
	[SNAPSHOT_ID] = "user.vdisk.snapshot.id",
	[PACKAGE] = "user.vdisk.package",
	[START] = "user.vdisk.partition.start",
	[TYPE] = "user.vdisk.partition.type",
	[FSTYPE] = "user.vdisk.partition.fstype",
	[LABEL] = "user.vdisk.partition.label",
	[UUID] = "user.vdisk.partition.uuid",
	[PARTLABEL] = "user.vdisk.partition.partlabel",
	[PARTUUID] = "user.vdisk.partition.partuuid",
	[VOLUME_KIND] = "user.vdisk.volume.kind",
	[VOLUME_PATH] = "user.vdisk.volume.path",
	[VOLUME_LAYOUT] = "user.vdisk.volume.layout",
	[VOLUME_UUID] = "user.vdisk.volume.id",
	[VOLUME_PARTITIONS] = "user.vdisk.volume.partitions",
	[VOLUME_FSTYPE] = "user.vdisk.volume.fstype",
	[VOLUME_FSLABEL] = "user.vdisk.volume.label",
	[VOLUME_FSUUID] = "user.vdisk.volume.uuid",
	[MANIFEST] = "user.vdisk.manifest",
};

/* The functions below set *value, malloc'ed; NULL: the node has no such attribute.  -ENOMEM. */

static int text_value(const char *text, char **value)
{
	if (!text || !*text)
		return 0;
	*value = strdup(text);
	return *value ? 0 : -ENOMEM;
}

static int number_value(uint64_t number, char **value)
{
	if (asprintf(value, "%llu", (unsigned long long)number) >= 0)
		return 0;
	*value = NULL;
	return -ENOMEM;
}

static int value_of_partition(enum xattr xattr, const struct node_partition *part, char **value)
{
	switch (xattr) {
	case START:
		return number_value(part->entry->start, value);
	case TYPE:
		return text_value(part->entry->type, value);
	case FSTYPE:
		return text_value(part->id.type, value);
	case LABEL:
		return text_value(part->id.label, value);
	case UUID:
		return text_value(part->id.uuid, value);
	case PARTLABEL:
		return text_value(part->entry->partlabel, value);
	default: /* PARTUUID */
		return text_value(part->entry->partuuid, value);
	}
}

static int value_of_volume(enum xattr xattr, const struct node *node, char **value)
{
	const struct node_volume *volume = node->volume;

	switch (xattr) {
	case VOLUME_KIND:
		return text_value(volume->entry->kind, value);
	case VOLUME_PATH:
		return text_value(volume->entry->path, value);
	case VOLUME_LAYOUT:
		return text_value(volume->entry->layout, value);
	case VOLUME_UUID:
		return text_value(volume->entry->uuid, value);
	case VOLUME_PARTITIONS:
		*value = volume_partitions(volume->set, volume->entry);
		return *value ? 0 : -ENOMEM;
	case VOLUME_FSTYPE:
		return text_value(volume->id.type, value);
	case VOLUME_FSLABEL:
		return text_value(volume->id.label, value);
	default: /* VOLUME_FSUUID */
		return text_value(volume->id.uuid, value);
	}
}

/* The image of the node is pinned. */
static int value_of(
	enum xattr xattr, const struct node *node, const struct shown *shown, char **value)
{
	bool is_file = node->kind == NODE_PARTITION || node->kind == NODE_VOLUME ||
		       node->kind == NODE_DISK;
	struct err e = ERR_INIT;
	int ret;

	*value = NULL;
	if (xattr >= START && xattr <= PARTUUID)
		return node->kind == NODE_PARTITION ? value_of_partition(xattr, node->part, value)
						    : 0;
	if (xattr >= VOLUME_KIND && xattr <= VOLUME_FSUUID)
		return node->kind == NODE_VOLUME ? value_of_volume(xattr, node, value) : 0;
	if (node->state_dir->kind == NODE_SPANNING ||
		(!is_file && node->kind != NODE_IMAGE && node->kind != NODE_SNAPSHOT))
		return 0;
	switch (xattr) {
	case FORMAT:
		return text_value(shown->img->format->name, value);
	case VIRTUAL_SIZE:
		return number_value(shown->state->view->size, value);
	case LAYER:
		*value = image_layer_name(shown->img, node->state_dir->layer);
		return *value ? 0 : -ENOMEM;
	case SNAPSHOT_NAME:
		states_lock(shown->img);
		ret = text_value(shown->state->name, value);
		states_unlock(shown->img);
		return ret;
	case SNAPSHOT_ID:
		return text_value(shown->state->id, value);
	case PACKAGE:
		return text_value(shown->img->gate.package_path, value);
	default: /* MANIFEST */
		return package_verify(shown->img, value, &e);
	}
}

/* Finds an attribute by its name, or an option of an image that was created in this mount.  0,
 * -ENODATA or another error. */
static int find_value(struct node *node, const char *name, char **value)
{
	struct new_image *f = node_get_new_image(node);
	size_t prefix = strlen(XATTR_PREFIX);
	struct err e = ERR_INIT;
	struct shown shown;
	int ret;

	for (enum xattr i = 0; i <= MANIFEST; i++) {
		if (strcmp(name, names[i]) != 0 || !node->image)
			continue;
		ret = shown_pin(node, USE_BRIEFLY, &shown, &e);
		if (ret < 0)
			return ret;
		ret = value_of(i, node, &shown, value);
		shown_unpin(node, &shown);
		if (ret < 0 || *value)
			return ret;
	}
	if (f && strncmp(name, XATTR_PREFIX, prefix) == 0)
		return new_image_get_option(f, name + prefix, value);
	return -ENODATA;
}

ssize_t xattr_get(struct node *node, const char *name, char *buf, size_t size)
{
	char *value = NULL;
	ssize_t ret = find_value(node, name, &value);

	if (ret == 0) {
		ret = (ssize_t)strlen(value);
		if (size > 0 && (size_t)ret <= size)
			memcpy(buf, value, (size_t)ret);
		else if (size > 0)
			ret = -ERANGE;
	}
	free(value);
	return ret;
}

ssize_t xattr_list(struct node *node, char *buf, size_t size)
{
	struct err e = ERR_INIT;
	struct shown shown;
	ssize_t used = 0, ret;

	/* "ls -l" lists the attributes of each image in a directory, and must not open them all. */
	if (!node->image || (node->place.folder && node_is_top(node)))
		return 0;
	ret = shown_pin(node, USE_BRIEFLY, &shown, &e);
	if (ret < 0)
		return ret;
	for (enum xattr i = 0; i < MANIFEST && ret == 0; i++) {
		size_t len = strlen(names[i]) + 1;
		char *value;

		ret = value_of(i, node, &shown, &value);
		if (ret == 0 && value) {
			if (size > 0 && (size_t)used + len > size)
				ret = -ERANGE;
			else if (size > 0)
				memcpy(buf + used, names[i], len);
			used += (ssize_t)len;
		}
		free(value);
	}
	shown_unpin(node, &shown);
	return ret < 0 ? ret : used;
}
