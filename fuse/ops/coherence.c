/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* coherence.c - which of the open files show what was written. */
#include "coherence.h"

#include "util/bytes.h"
#include "file.h"
#include "tree/tree.h"
#include "view/view.h"

void coherence_init(struct coherence *s)
{
	pthread_mutex_init(&s->lock, NULL);
	s->files = NULL;
	s->wake = NULL;
}

void coherence_on_stale(struct coherence *s, void (*wake)(void *arg), void *arg)
{
	s->wake = wake;
	s->wake_arg = arg;
}

/* Do both show bytes of one disk?  Of one that has none yet there is only the disk itself. */
static bool are_same(const struct file *a, const struct file *b)
{
	const struct view *base = a->base;

	return a->node == b->node || (base && base == b->base);
}

/* Of all that are open now. */
static bool goes_past(const struct coherence *s, const struct file *file, bool past_pages)
{
	bool must = false;

	for (const struct file *f = s->files; f; f = f->next) {
		if (f == file || !are_same(f, file))
			continue;
		must |= f->writes && (f->direct || f->node != file->node);
		past_pages &= f->direct || f->node != file->node;
	}
	return must || past_pages;
}

/* The lock is held. */
static void insert(struct coherence *s, struct file *file)
{
	file->next = s->files;
	if (file->next)
		file->next->link = &file->next;
	file->link = &s->files;
	s->files = file;
}

void coherence_add(struct coherence *s, struct file *file, bool past_pages)
{
	pthread_mutex_lock(&s->lock);
	file->direct = goes_past(s, file, past_pages);
	insert(s, file);
	pthread_mutex_unlock(&s->lock);
}

bool coherence_is_alone(struct coherence *s, const struct file *file)
{
	bool alone = true;

	pthread_mutex_lock(&s->lock);
	for (const struct file *f = s->files; f && alone; f = f->next)
		alone = f == file || !are_same(f, file);
	pthread_mutex_unlock(&s->lock);
	return alone;
}

void coherence_remove(struct coherence *s, struct file *file)
{
	pthread_mutex_lock(&s->lock);
	if (file->link) {
		*file->link = file->next;
		if (file->next)
			file->next->link = file->link;
	}
	pthread_mutex_unlock(&s->lock);
}

/* Makes [start, end) of the disk stale in f, as far as f shows it. */
static bool make_stale(struct file *f, uint64_t start, uint64_t end)
{
	uint64_t first = MAX(start, f->start), last = MIN(end, f->start + f->view->size);

	if (first >= last)
		return false;
	if (f->stale_start == f->stale_end) {
		f->stale_start = first - f->start;
		f->stale_end = last - f->start;
	} else {
		f->stale_start = MIN(f->stale_start, first - f->start);
		f->stale_end = MAX(f->stale_end, last - f->start);
	}
	return true;
}

void coherence_changed(struct coherence *s, const struct file *file, uint64_t off, uint64_t len)
{
	uint64_t start = file->start + off;
	bool stale = false;

	pthread_mutex_lock(&s->lock);
	for (struct file *f = s->files; f; f = f->next)
		if (f->node != file->node && are_same(f, file) && make_stale(f, start, start + len))
			stale = true;
	pthread_mutex_unlock(&s->lock);
	if (stale && s->wake)
		s->wake(s->wake_arg);
}

/* The next stale range; its node is held. */
static struct node *take_stale(struct coherence *s, uint64_t *off, uint64_t *len)
{
	struct node *node = NULL;

	pthread_mutex_lock(&s->lock);
	for (struct file *f = s->files; f && !node; f = f->next) {
		if (f->stale_start == f->stale_end)
			continue;
		node = node_get(f->node);
		*off = f->stale_start;
		*len = f->stale_end - f->stale_start;
		f->stale_start = f->stale_end = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return node;
}

void coherence_tell(struct coherence *s, struct tree *tree, coherence_tell_fn *tell, void *arg)
{
	struct node *node;
	uint64_t off, len;

	while ((node = take_stale(s, &off, &len)) != NULL) {
		tell(arg, node, off, len);
		node_put(tree, node, 1);
	}
}
