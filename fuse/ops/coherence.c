/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coherence.h"

#include "util/bytes.h"
#include "view/view.h"
#include "tree/node.h"
#include "file.h"

void coherence_init(struct coherence *c)
{
	pthread_mutex_init(&c->lock, NULL);
	LIST_INIT(&c->files);
	c->wake = NULL;
}

void coherence_on_stale(struct coherence *c, void (*wake)(void *arg), void *arg)
{
	c->wake = wake;
	c->wake_arg = arg;
}

/* Do two files show bytes of one disk?  A new image without bytes has no file but its disk. */
static bool are_same(const struct file *a, const struct file *b)
{
	const struct view *base = a->base;

	return a->node == b->node || (base && base == b->base);
}

void coherence_add(struct coherence *c, struct file *file, bool prefers_direct)
{
	bool must = false;
	const struct file *f;

	pthread_mutex_lock(&c->lock);
	for (f = LIST_FIRST(&c->files); f; f = LIST_NEXT(f, shared)) {
		if (!are_same(f, file))
			continue;
		must |= f->writes && (f->direct || f->node != file->node);
		prefers_direct &= f->direct || f->node != file->node;
	}
	file->direct = must || prefers_direct;
	file->is_shared = true;
	LIST_INSERT_HEAD(&c->files, file, shared);
	pthread_mutex_unlock(&c->lock);
}

void coherence_remove(struct coherence *c, struct file *file)
{
	if (!file->is_shared)
		return;
	pthread_mutex_lock(&c->lock);
	LIST_REMOVE(file, shared);
	pthread_mutex_unlock(&c->lock);
}

bool coherence_is_alone(struct coherence *c, const struct file *file)
{
	const struct file *f;

	pthread_mutex_lock(&c->lock);
	for (f = LIST_FIRST(&c->files); f; f = LIST_NEXT(f, shared))
		if (f != file && are_same(f, file))
			break;
	pthread_mutex_unlock(&c->lock);
	return !f;
}

/* Marks pages of f as stale: those that show [start, end) of the disk. */
static bool make_stale(struct file *f, uint64_t start, uint64_t end)
{
	uint64_t first = MAX(start, f->start), last = MIN(end, f->start + f->view->size);

	if (first >= last)
		return false;
	first -= f->start;
	last -= f->start;
	if (f->stale_start < f->stale_end) {
		first = MIN(first, f->stale_start);
		last = MAX(last, f->stale_end);
	}
	f->stale_start = first;
	f->stale_end = last;
	return true;
}

void coherence_changed(struct coherence *c, const struct file *file, uint64_t off, uint64_t len)
{
	uint64_t start = file->start + off;
	bool stale = false;
	struct file *f;

	pthread_mutex_lock(&c->lock);
	for (f = LIST_FIRST(&c->files); f; f = LIST_NEXT(f, shared)) {
		if (f->node == file->node || !are_same(f, file))
			continue;
		if (f->is_scattered || file->is_scattered)
			stale |= make_stale(f, f->start, f->start + f->view->size);
		else
			stale |= make_stale(f, start, start + len);
	}
	pthread_mutex_unlock(&c->lock);
	if (stale && c->wake)
		c->wake(c->wake_arg);
}

/* The next stale range of a node, which is held; NULL: none. */
static struct node *next_stale(struct coherence *c, uint64_t *off, uint64_t *len)
{
	struct node *node = NULL;
	struct file *f;

	pthread_mutex_lock(&c->lock);
	for (f = LIST_FIRST(&c->files); f; f = LIST_NEXT(f, shared))
		if (f->stale_start < f->stale_end) {
			node = node_get(f->node);
			*off = f->stale_start;
			*len = f->stale_end - f->stale_start;
			f->stale_start = f->stale_end = 0;
			break;
		}
	pthread_mutex_unlock(&c->lock);
	return node;
}

void coherence_notify(struct coherence *c, coherence_notify_fn *notify, void *arg)
{
	struct node *node;
	uint64_t off, len;

	while ((node = next_stale(c, &off, &len)) != NULL) {
		notify(arg, node, off, len);
		node_put(node, 1);
	}
}
