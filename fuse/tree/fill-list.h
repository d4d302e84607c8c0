/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill-list.h - a list that is being generated: nodes that no other thread sees, which become one
 * list or are dropped.
 */
#ifndef VDISKFS_TREE_FILL_LIST_H
#define VDISKFS_TREE_FILL_LIST_H

#include "shown.h"
#include "types.h"

struct err;
struct filename_set;

struct fill_list {
	struct node *dir;
	struct shown shown; /* the state that dir shows a part of, pinned */
	struct node **nodes;
	size_t n;
};

/* Adds an entry; NULL without memory. */
struct node *fill_list_add(struct fill_list *list, enum node_kind kind, const char *name);

/* The same with a name found in an image: escaped, and numbered if names has it already. */
struct node *fill_list_add_named(struct fill_list *list, enum node_kind kind,
	struct filename_set *names, const char *wanted);

/* Gives a NODE_ERROR its text. */
int fill_list_error(struct node *node, const struct err *e);

/* Drops the last entry, or all of them. */
void fill_list_pop(struct fill_list *list);
void fill_list_clear(struct fill_list *list);

/* Makes the entries a sorted list, or drops them after the error ret. */
int fill_list_end(struct fill_list *list, int ret, struct dir **dir);

#endif
