/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fill-list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/err.h"
#include "util/filename.h"
#include "node.h"
#include "tree.h"

struct node *fill_list_add(struct fill_list *list, enum node_kind kind, const char *name)
{
	/* One more: a list that fill_list_pop has emptied keeps its array. */
	struct node **nodes = array_grow(list->nodes, list->n + 1, sizeof nodes[0]), *node;

	if (!nodes)
		return NULL;
	list->nodes = nodes;
	node = node_new(list->dir->tree, list->dir, kind, name);
	if (node)
		list->nodes[list->n++] = node;
	return node;
}

struct node *fill_list_add_named(
	struct fill_list *list, enum node_kind kind, struct filename_set *names, const char *wanted)
{
	char *name = filename_set_add_raw(names, wanted);
	struct node *node = name ? fill_list_add(list, kind, name) : NULL;

	free(name);
	return node;
}

int fill_list_error(struct node *node, const struct err *e)
{
	char line[HINT_LINE];
	const char *hint = hint_line(e, &hint_words_vdiskfs, line);

	if (asprintf(&node->text, "%s\n%s%s%s", e->text, hint ? "hint: " : "", hint ? hint : "",
		    hint ? "\n" : "") >= 0)
		return 0;
	node->text = NULL;
	return -ENOMEM;
}

void fill_list_pop(struct fill_list *list)
{
	tree_drop(list->nodes[--list->n]);
}

void fill_list_clear(struct fill_list *list)
{
	while (list->n > 0)
		fill_list_pop(list);
	free(list->nodes);
	list->nodes = NULL;
}

static int node_compare(const void *a, const void *b)
{
	return strcmp((*(struct node *const *)a)->name, (*(struct node *const *)b)->name);
}

int fill_list_end(struct fill_list *list, int ret, struct dir **dir)
{
	*dir = ret == 0 ? tree_dir_new(list->n) : NULL;
	if (!*dir) {
		fill_list_clear(list);
		return ret < 0 ? ret : -ENOMEM;
	}
	if (list->n > 0) {
		memcpy((*dir)->nodes, list->nodes, list->n * sizeof list->nodes[0]);
		qsort((*dir)->nodes, list->n, sizeof list->nodes[0], node_compare);
	}
	free(list->nodes);
	return 0;
}
