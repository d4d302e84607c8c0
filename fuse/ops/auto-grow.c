/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* auto-grow.c - see auto-grow.h.  The states of such an image are tree/new-image.h's. */
#include "auto-grow.h"

#include <errno.h>

#include "util/bytes.h"
#include "util/err.h"
#include "file.h"
#include "image/format.h"
#include "open/registry.h"
#include "tree/new-image.h"
#include "image/image.h"
#include "ops.h"
#include "tree/tree.h"
#include "view/view.h"

/* A disk that grows becomes twice as long at a time, within these bounds. */
#define GROW_MIN (UINT64_C(16) << 20)
#define GROW_MAX (UINT64_C(64) << 30)

bool auto_grow_can(const struct file *file)
{
	return file->new_image != NULL;
}

/* The lock is held. */
static int attach(struct file *file, struct err *e)
{
	return file->view ? 0 : file_attach(file, e);
}

void auto_grow_look(struct file *file)
{
	struct new_image *f = file->view ? NULL : file->new_image;
	struct err ignored = ERR_INIT;

	if (!f || f->empty)
		return;
	pthread_mutex_lock(&f->lock);
	attach(file, &ignored);
	pthread_mutex_unlock(&f->lock);
}

/* Disks are whole sectors, but for those that are plain files. */
static uint64_t round_size(const struct file *file, uint64_t size)
{
	const struct new_image *f = file->new_image;
	uint64_t sector = file->view ? MAX(file->shown.img->sector_size, 512u) : 512;

	return f->format == registry_find("raw") ? size : round_up(size, sector);
}

/* Long enough for a write, if it has no bytes yet. */
static int begin(struct file *file, uint64_t size, struct err *e)
{
	struct new_image *f = file->new_image;
	int ret = new_image_begin(f, file->node->image, round_size(file, size), e);

	if (ret == 0)
		ret = attach(file, e);
	return ret;
}

/* Where twice is too much, what is needed may not be.  To whoever writes, a disk that cannot be
 * longer is a file that cannot. */
static int extend(const struct file *file, uint64_t end, struct err *e)
{
	struct view *view = file->view;
	uint64_t more = MIN(MAX(view->size, GROW_MIN), GROW_MAX);
	struct err ignored = ERR_INIT;
	int ret;

	if (end <= view->size ||
		view_resize(view, round_size(file, MAX(end, view->size + more)), &ignored) == 0)
		return 0;
	ret = view_resize(view, round_size(file, end), e);
	if (ret == -EOPNOTSUPP)
		e->code = EFBIG;
	return ret < 0 ? -e->code : 0;
}

static bool has_room(const struct new_image *f, const struct file *file, uint64_t end)
{
	return !f->empty && file->view && end <= new_image_size(f, file->view);
}

int auto_grow_to(struct file *file, uint64_t end, uint64_t whole, struct err *e)
{
	struct new_image *f = file->new_image;
	int ret = 0;

	if (!f || has_room(f, file, end))
		return 0;
	pthread_mutex_lock(&f->lock);
	if (f->empty) {
		ret = begin(file, MAX(end, whole), e);
		f->end = 0;
		f->growing = ret == 0;
	}
	if (ret == 0)
		ret = attach(file, e);
	if (ret == 0 && end > new_image_size(f, file->view)) {
		ret = extend(file, end, e);
		if (ret == 0) {
			f->end = end;
			f->growing = true;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

/* The lock is held, and the disk has a view. */
static int settle(struct new_image *f, const struct file *file, struct err *e)
{
	int ret;

	if (!f->growing || f->end == 0)
		return 0;
	ret = view_resize(file->view, round_size(file, f->end), e);
	f->growing = false;
	return ret;
}

int auto_grow_finish(fuse_req_t req, struct file *file, struct err *e)
{
	struct new_image *f = file->new_image;
	bool list = false;
	int ret = 0;

	if (!f || !file->view || (!f->growing && !f->listed_empty))
		return 0;
	pthread_mutex_lock(&f->lock);
	ret = settle(f, file, e);
	list = f->listed_empty && !f->growing;
	f->listed_empty = f->listed_empty && !list;
	pthread_mutex_unlock(&f->lock);
	/* Now that it has bytes there may be partitions. */
	if (list)
		tree_refresh(request_server(req)->tree, file->node->home);
	return ret;
}

/* The lock is held. */
static int set_size(struct new_image *f, struct file *file, uint64_t size, struct err *e)
{
	uint64_t before;
	int ret;

	if (f->empty)
		return size == 0 ? 0 : begin(file, size, e);
	ret = attach(file, e);
	if (ret < 0)
		return ret;
	before = new_image_size(f, file->view);
	if (size < before)
		ret = view_clear(file->view, size, before - size, e);
	if (ret < 0)
		return ret;
	f->end = size;
	f->growing = true;
	return settle(f, file, e);
}

int auto_grow_set(struct file *file, uint64_t size, struct err *e)
{
	struct new_image *f = file->new_image;
	int ret;

	pthread_mutex_lock(&f->lock);
	ret = set_size(f, file, size, e);
	pthread_mutex_unlock(&f->lock);
	return ret;
}
