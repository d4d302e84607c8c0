/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shown.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "view/view.h"
#include "image/image.h"
#include "image/info.h"
#include "exports.h"
#include "node.h"
#include "pooled-image.h"
#include "tree.h"

/* Finds the state of a node once its image is pinned, or was not (pinned < 0). */
static int find_state(const struct node *node, int pinned, struct shown *shown)
{
	const struct node *dir = node->state_dir;

	if (pinned == -ESTALE && !atomic_load(&node->gone))
		tree_reset(node_top(node));
	if (pinned < 0)
		return pinned;
	shown->img = shown->top;
	for (unsigned i = 0; i < dir->layer; i++)
		shown->img = shown->img->parent;
	shown->state = state_get(
		shown->img, node_is_top(dir) ? pooled_image_state(node->image) : dir->state);
	return shown->state ? 0 : -ESTALE;
}

int shown_pin(const struct node *node, struct shown *shown, struct err *e)
{
	int pinned = pooled_image_pin(node->image, node->generation, &shown->top, e);
	int ret = find_state(node, pinned, shown);

	if (ret < 0 && pinned == 0)
		pooled_image_unpin(node->image);
	return ret;
}

void shown_unpin(const struct node *node, const struct shown *shown)
{
	state_put(shown->state);
	pooled_image_unpin(node->image);
}

int shown_hold(const struct node *node, bool writes, struct shown *shown, struct err *e)
{
	int held = pooled_image_hold(node->image, node->generation, writes, &shown->top, e);
	int ret = find_state(node, held, shown);

	if (ret < 0 && held == 0)
		pooled_image_unhold(node->image);
	return ret;
}

void shown_unhold(const struct node *node, const struct shown *shown)
{
	state_put(shown->state);
	pooled_image_unhold(node->image);
}

struct derive_args {
	const struct node *node;
	const struct shown *shown;
};

static int derive(void *arg, struct view **view, struct err *e)
{
	const struct derive_args *a = arg;
	const struct node *node = a->node;
	const struct partition *entry;

	if (node->kind == NODE_EXPORT)
		return exports_make(node->parent->exports, a->shown->img, a->shown->state,
			node->export, node->name, view, e);
	entry = node->part->entry;
	*view = view_slice(a->shown->state->view, entry->start, entry->len, e);
	return *view ? 0 : -e->code;
}

int shown_view(struct node *node, const struct shown *shown, struct view **view, struct err *e)
{
	const struct state *state = shown->state;
	struct derive_args args = {.node = node, .shown = shown};
	int ret = 0;

	*view = NULL;
	if (!state)
		return 0;
	switch (node->kind) {
	case NODE_DISK:
		*view = state->view;
		break;
	case NODE_VMSTATE:
		*view = state->vmstate;
		break;
	case NODE_PARTITION:
	case NODE_EXPORT:
		ret = pooled_image_derive(node->image, &node->derived, derive, &args, e);
		*view = node->derived.view;
		break;
	default:
		break;
	}
	return ret;
}

char *shown_text(const struct node *node, const struct shown *shown, struct err *e)
{
	char *text;

	if (node->kind == NODE_INFO)
		return info_json(shown->img, shown->state, e);
	text = strdup(node->text);
	if (!text)
		err_nomem(e);
	return text;
}
