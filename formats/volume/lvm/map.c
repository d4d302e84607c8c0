/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/err.h"
#include "util/limits.h"
#include "view/view.h"
#include "volume/table.h"

struct lvm_map *lvm_map_new(struct err *e)
{
	struct lvm_map *m = calloc(1, sizeof *m);

	if (!m) {
		err_nomem(e);
		return NULL;
	}
	m->refs = m->parts = 1;
	return m;
}

void lvm_map_unref(struct lvm_map *m)
{
	if (!m || --m->refs > 0)
		return;
	for (size_t i = 0; i < m->nchildren; i++)
		lvm_map_unref(m->children[i]);
	if (m->ops)
		m->ops->free(m->description);
	table_free(m->table);
	free(m->children);
	free(m->pvs);
	free(m);
}

int lvm_map_add_child(struct lvm_map *m, struct lvm_map *child, struct err *e)
{
	struct lvm_map **children = array_grow(m->children, m->nchildren, sizeof children[0]);

	if (!children) {
		lvm_map_unref(child);
		return err_nomem(e);
	}
	m->children = children;
	children[m->nchildren++] = child;
	if (!child)
		return 0;
	m->parts += child->parts;
	m->changes_bytes |= child->changes_bytes;
	if (child->no_writing)
		m->no_writing = child->no_writing;
	if (m->parts > LVM_MAX_PARTS)
		return err_set(e, E2BIG, "it is made of more than %u volumes", LVM_MAX_PARTS);
	return 0;
}

int lvm_map_add_pv(struct lvm_map *m, size_t number, size_t *index, struct err *e)
{
	size_t *pvs;

	for (*index = 0; *index < m->npvs; ++*index)
		if (m->pvs[*index] == number)
			return 0;
	pvs = array_grow(m->pvs, m->npvs, sizeof pvs[0]);
	if (!pvs)
		return err_nomem(e);
	m->pvs = pvs;
	pvs[m->npvs++] = number;
	return 0;
}

void lvm_map_each_pv(const struct lvm_map *m, void (*found)(size_t number, void *arg), void *arg)
{
	for (size_t i = 0; i < m->npvs; i++)
		found(m->pvs[i], arg);
	for (size_t i = 0; i < m->nchildren; i++)
		if (m->children[i])
			lvm_map_each_pv(m->children[i], found, arg);
}

/* Views. */

static void free_views(struct view **views, size_t n)
{
	for (size_t i = 0; i < n; i++)
		view_free(views[i]);
	free(views);
}

/* The views of the children; room for more after them.  NULL with an error. */
static struct view **child_views(
	const struct lvm_map *m, struct view *const *devices, size_t more, struct err *e)
{
	struct view **views = calloc(m->nchildren + more + 1, sizeof views[0]);

	if (!views) {
		err_nomem(e);
		return NULL;
	}
	for (size_t i = 0; i < m->nchildren; i++) {
		if (m->children[i])
			views[i] = lvm_map_view(m->children[i], devices, e);
		if (m->children[i] && !views[i]) {
			free_views(views, i);
			return NULL;
		}
	}
	return views;
}

/* A view with a writer that passes no writes on refuses them. */
static struct view *over(const struct lvm_map *m, struct view **views, size_t n, struct err *e)
{
	struct view *v = m->ops ? m->ops->view(m, views, e) : table_view(m->table, views, n, e);

	if (v && m->no_writing)
		v->through = false;
	return v;
}

struct view *lvm_map_view(const struct lvm_map *m, struct view *const *devices, struct err *e)
{
	struct view **views = child_views(m, devices, m->npvs, e), *v;
	size_t n = m->nchildren;

	if (!views)
		return NULL;
	for (size_t i = 0; i < m->npvs; i++, n++) {
		struct view *device = devices[m->pvs[i]];

		views[n] = view_slice(device, 0, device->size, e);
		if (!views[n]) {
			free_views(views, n);
			return NULL;
		}
	}
	v = over(m, views, n, e);
	free_views(views, v ? 0 : n);
	return v;
}

struct view *lvm_map_view_over(const struct lvm_map *m, struct view *const *devices,
	struct view *const *owned, size_t n, struct err *e)
{
	struct view **views = child_views(m, devices, n, e), *v;

	if (!views)
		return NULL;
	memcpy(views + m->nchildren, owned, n * sizeof views[0]);
	v = over(m, views, m->nchildren + n, e);
	free_views(views, v ? 0 : m->nchildren);
	return v;
}
