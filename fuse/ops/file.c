/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "image/image.h"
#include "volume/volume.h"
#include "base/log.h"
#include "tree/new-image.h"
#include "tree/node.h"
#include "tree/tree.h"

struct file *file_of(const struct fuse_file_info *fi)
{
	return (struct file *)(uintptr_t)fi->fh;
}

/* Opening. */

static enum image_use use_of(const struct file *file)
{
	return file->writes ? USE_TO_WRITE : USE_TO_READ;
}

/* The disk that the file shows bytes of, and the place of its first byte there. */
static const struct view *find_base(struct file *file, const struct node *node, struct view *view)
{
	uint64_t len = view->size;
	struct view *base;

	if (node->kind != NODE_DISK && node->kind != NODE_PARTITION && node->kind != NODE_VOLUME)
		return view;
	file->start = 0;
	base = view_through(view, &file->start, &len);
	file->is_scattered = base != file->shown.state->view || len < view->size;
	return file->shown.state->view;
}

/* Sets the view after the fields that belong to it, and the base last: other threads read these
 * without a lock. */
static int set_view(struct file *file, struct node *node, struct err *e)
{
	const struct view *base;
	struct view *view;
	int ret = shown_view(node, &file->shown, &view, e);

	if (ret < 0 || !view)
		return ret;
	base = find_base(file, node, view);
	file->late_seen = view_late_seen(view);
	file->view = view;
	file->base = base;
	atomic_fetch_add(&node->state_dir->open_files, 1);
	return 0;
}

static int set_content(struct file *file, struct node *node)
{
	struct err e = ERR_INIT;
	int ret = set_view(file, node, &e);

	if (ret < 0 || file->view)
		return ret;
	file->text = shown_text(node, &file->shown, &e);
	if (!file->text)
		return -e.code;
	file->len = strlen(file->text);
	return file->writes ? -EROFS : 0;
}

/* The reason why an image cannot be written is logged; only that it is in use has an errno. */
static int not_writable(const struct node *node, const struct err *e)
{
	char path[512];

	if (e->code == 0)
		return -ESTALE;
	node_path(node, path, sizeof path);
	log_error(node->tree->log, "%s: %s", path, e->text);
	return e->code == EBUSY || e->code == ENOMEM ? -e->code : -EROFS;
}

/* A volume whose bytes cannot be changed, in an image that can. */
static int check_volume(const struct node *node, struct err *e)
{
	const char *why = node->kind == NODE_VOLUME ? node->volume->entry->no_writing : NULL;

	return why ? err_set(e, EROFS, "it can only be read: %s", why) : 0;
}

static int open_node(struct file *file, struct node *node)
{
	struct err e = ERR_INIT;
	int ret;

	if (file->writes && !node_is_live(node))
		return -EROFS;
	if (file->writes && check_volume(node, &e) < 0)
		return not_writable(node, &e);
	file->new_image = node_get_new_disk(node);
	if (file->new_image && file->new_image->empty)
		return 0;
	if (node->kind == NODE_ERROR)
		return set_content(file, node);
	ret = shown_pin(node, use_of(file), &file->shown, &e);
	if (ret < 0)
		return file->writes ? not_writable(node, &e) : ret;
	ret = set_content(file, node);
	if (!file->view)
		shown_unpin(node, &file->shown);
	/* The bytes that another program has cut off may be far from those that will be read. */
	else if (image_check_files(file->shown.img, &e) < 0 && err_is_first(&e))
		log_error(node->tree->log, "%s", e.text);
	return ret;
}

int file_open(struct node *node, bool writes, struct file **out)
{
	struct tree *tree = node->tree;
	struct file *file;
	int ret;

	if (atomic_load(&node->gone))
		return -ESTALE;
	file = calloc(1, sizeof *file);
	if (!file)
		return -ENOMEM;
	atomic_init(&file->refs, 1);
	file->writes = writes;
	ret = open_node(file, node);
	if (ret < 0) {
		free(file->text);
		free(file);
		return ret;
	}
	readahead_init(&file->readahead);
	file->node = node_get(node);
	pthread_mutex_lock(&tree->lock);
	LIST_INSERT_HEAD(&tree->files, file, open);
	pthread_mutex_unlock(&tree->lock);
	*out = file;
	return 0;
}

struct file *file_ref(struct file *file)
{
	atomic_fetch_add(&file->refs, 1);
	return file;
}

void file_unref(struct file *file)
{
	struct tree *tree = file->node->tree;

	if (atomic_fetch_sub(&file->refs, 1) > 1)
		return;
	pthread_mutex_lock(&tree->lock);
	LIST_REMOVE(file, open);
	pthread_mutex_unlock(&tree->lock);
	if (file->view) {
		atomic_fetch_sub(&file->node->state_dir->open_files, 1);
		shown_unpin(file->node, &file->shown);
	}
	readahead_end(&file->readahead);
	node_put(file->node, 1);
	free(file->text);
	free(file);
}

void file_close_all(struct tree *tree)
{
	while (!LIST_EMPTY(&tree->files))
		file_unref(LIST_FIRST(&tree->files));
}

int file_seek(const struct file *file, uint64_t off, int whence, uint64_t *found)
{
	if (file->view)
		return view_seek(file->view, off, whence, found);
	if (off >= file->len)
		return -ENXIO;
	*found = whence == SEEK_DATA ? off : file->len;
	return 0;
}

/* Disks of new images; the lock of the new image is held. */

static int attach(struct file *file, struct err *e)
{
	int ret;

	if (file->view)
		return 0;
	ret = shown_pin(file->node, use_of(file), &file->shown, e);
	if (ret < 0)
		return ret;
	ret = set_view(file, file->node, e);
	if (ret < 0)
		shown_unpin(file->node, &file->shown);
	return ret;
}

static int begin(struct file *file, uint64_t size, struct err *e)
{
	int ret = new_image_begin(file->new_image, file->node->image, size, e);

	return ret < 0 ? ret : attach(file, e);
}

/* Without the lock: */

void file_look(struct file *file)
{
	struct new_image *f = file->new_image;
	struct err ignored = ERR_INIT;

	if (file->view || !f || f->empty)
		return;
	pthread_mutex_lock(&f->lock);
	attach(file, &ignored);
	pthread_mutex_unlock(&f->lock);
}

int file_extend(struct file *file, uint64_t end, uint64_t whole, struct err *e)
{
	struct new_image *f = file->new_image;
	bool is_first;
	int ret;

	if (!f || (file->view && end <= new_image_size(f, file->view)))
		return 0;
	pthread_mutex_lock(&f->lock);
	is_first = f->empty;
	ret = is_first ? begin(file, MAX(end, whole), e) : attach(file, e);
	if (ret == 0 && (is_first || end > new_image_size(f, file->view)))
		ret = new_image_extend(f, &file->shown, end, e);
	pthread_mutex_unlock(&f->lock);
	return ret;
}

int file_resize(struct file *file, uint64_t size, struct err *e)
{
	struct new_image *f = file->new_image;
	int ret = 0;

	if (!f)
		return view_resize(file->view, size, e);
	pthread_mutex_lock(&f->lock);
	if (!f->empty) {
		ret = attach(file, e);
		if (ret == 0)
			ret = new_image_truncate(f, &file->shown, size, e);
	} else if (size > 0) {
		ret = begin(file, size, e);
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

int file_end_growth(struct file *file, struct err *e)
{
	struct new_image *f = file->new_image;
	bool has_content;
	int ret;

	if (!f || !file->view || (!f->growing && !f->listed_empty))
		return 0;
	pthread_mutex_lock(&f->lock);
	ret = new_image_end_growth(f, &file->shown, e);
	has_content = f->listed_empty && !f->growing;
	if (has_content)
		f->listed_empty = false;
	pthread_mutex_unlock(&f->lock);
	/* The disk may have partitions now. */
	if (has_content)
		tree_refresh(file->node->state_dir);
	return ret;
}
