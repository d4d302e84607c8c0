/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shown.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "util/err.h"
#include "view/view.h"
#include "image/image.h"
#include "image/info.h"
#include "open/disks.h"
#include "util/limits.h"
#include "volume/contents.h"
#include "volume/volume.h"
#include "exports.h"
#include "node.h"
#include "pooled-image.h"
#include "tree.h"

int shown_pin(const struct node *node, enum image_use use, struct shown *shown, struct err *e)
{
	const struct node *dir = node->state_dir;
	int ret = pooled_image_pin(node->image, node->generation, use, &shown->top, e);
	unsigned state;

	if (ret == -ESTALE && !atomic_load(&node->gone))
		tree_reset(node_top(node));
	if (ret < 0)
		return ret;
	shown->img = shown->top;
	for (unsigned i = 0; i < dir->layer; i++)
		shown->img = shown->img->parent;
	state = node_is_top(dir) ? pooled_image_state(node->image) : dir->state;
	shown->state = state_get(shown->img, state);
	shown->use = use;
	if (shown->state)
		return 0;
	pooled_image_unpin(node->image, use);
	return -ESTALE;
}

void shown_unpin(const struct node *node, const struct shown *shown)
{
	state_put(shown->state);
	pooled_image_unpin(node->image, shown->use);
}

static struct view *make_volume(const struct node *node, const struct shown *shown, struct err *e)
{
	size_t n;
	const struct volume_disk *disks = disks_of(shown->img, &n);
	struct view *all[DISKS_MAX];

	for (size_t i = 0; disks && i < n; i++)
		all[i] = disks[i].view;
	return volume_view(
		node->volume->set, node->volume->entry, disks ? all : &shown->state->view, e);
}

int shown_view(struct node *node, const struct shown *shown, struct view **view, struct err *e)
{
	const struct state *state = shown->state;
	struct view *new = NULL;

	*view = NULL;
	if (!state)
		return 0;
	switch (node->kind) {
	case NODE_DISK:
		*view = state->view;
		return 0;
	case NODE_VMSTATE:
		*view = state->vmstate;
		return 0;
	case NODE_PARTITION:
	case NODE_VOLUME:
	case NODE_EXPORT:
		break;
	default:
		return 0;
	}
	pooled_image_begin_view(node->image);
	if (!node->derived.view && node->kind == NODE_EXPORT)
		new = exports_make(
			node->parent->exports, shown->img, state, node->export, node->name, e);
	else if (!node->derived.view && node->kind == NODE_VOLUME)
		new = make_volume(node, shown, e);
	else if (!node->derived.view)
		new = view_slice(state->view, node->part->entry->start, node->part->entry->len, e);
	pooled_image_end_view(node->image, &node->derived, new);
	*view = node->derived.view;
	return *view ? 0 : -e->code;
}

static char *info_of(const struct shown *shown, struct err *e)
{
	struct json_object *o = info_absolute(shown->img, shown->state);
	char *text;

	contents_add(o, shown->img, shown->state, false);
	text = info_text(o, e);
	json_object_put(o);
	return text;
}

char *shown_text(const struct node *node, const struct shown *shown, struct err *e)
{
	char *text;

	if (node->kind == NODE_INFO)
		return info_of(shown, e);
	text = strdup(node->text);
	if (!text)
		err_nomem(e);
	return text;
}
