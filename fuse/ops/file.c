/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file.c - open files: an image is held as long as one of its disks is open. */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/err.h"
#include "tree/new-image.h"
#include "image/image.h"
#include "base/log.h"
#include "tree/tree-impl.h"
#include "view/view.h"

/* The view comes behind what belongs to it, the base last: who sees one sees all. */
static int take_view(struct file *file, struct node *node, struct err *e)
{
	const struct view *base;
	struct view *view;
	int ret = node_view(node, &file->shown, &view, e);

	if (ret < 0 || !view)
		return ret;
	base = view_base(view, &file->start);
	file->late_seen = view_late_seen(view);
	file->view = view;
	file->base = base;
	atomic_fetch_add(&node->home->opened, 1);
	return 0;
}

/* The image is held, and stays so for what has a view. */
static int open_pinned(struct file *file, struct node *node)
{
	struct err e = ERR_INIT;
	int ret = take_view(file, node, &e);

	if (ret == 0 && !file->view) {
		file->text = node_text(node, &file->shown, &e);
		ret = file->text ? 0 : -e.code;
	}
	if (file->text)
		file->len = strlen(file->text);
	if (ret == 0 && file->writes && !file->view)
		ret = -EROFS;
	return ret;
}

/* Why an image of a directory cannot be written is for the log; that it is in use can be told. */
static int not_writable(const struct node *node, const struct err *e)
{
	char path[512];

	if (e->code == 0)
		return -ESTALE;
	node_path(node, path, sizeof path);
	log_error(node->tree->log, "%s: %s", path, e->text);
	return e->code == EBUSY || e->code == ENOMEM ? -e->code : -EROFS;
}

/* A disk that nobody has put anything into yet. */
static bool is_empty(const struct new_image *f)
{
	return f && f->empty;
}

int file_attach(struct file *file, struct err *e)
{
	int ret = node_hold(file->node, file->writes, &file->shown, e);

	if (ret < 0)
		return ret;
	ret = take_view(file, file->node, e);
	if (ret < 0)
		node_unhold(file->node, &file->shown);
	return ret;
}

static int open_into(struct file *file, struct node *node)
{
	struct err e = ERR_INIT;
	int ret;

	if (file->writes && !node_is_live(node))
		return -EROFS;
	file->new_image = node_get_new_disk(node);
	if (is_empty(file->new_image))
		return 0;
	if (node->kind == NODE_ERROR)
		return open_pinned(file, node);
	ret = node_hold(node, file->writes, &file->shown, &e);
	if (ret < 0)
		return node_is_live(node) && file->writes ? not_writable(node, &e) : ret;
	ret = open_pinned(file, node);
	if (!file->view)
		node_unhold(node, &file->shown);
	return ret;
}

/* What a file of the host has lost may be far from what will be read. */
static void log_altered(const struct file *file, struct log *log)
{
	struct err e = ERR_INIT;

	if (image_check_files(file->shown.img, &e) < 0 && err_is_first(&e))
		log_error(log, "%s", e.text);
}

static void list_add(struct tree *tree, struct file *file)
{
	pthread_mutex_lock(&tree->lock);
	file->next_open = tree->files;
	if (file->next_open)
		file->next_open->open_link = &file->next_open;
	file->open_link = &tree->files;
	tree->files = file;
	pthread_mutex_unlock(&tree->lock);
}

static void list_remove(struct tree *tree, struct file *file)
{
	pthread_mutex_lock(&tree->lock);
	*file->open_link = file->next_open;
	if (file->next_open)
		file->next_open->open_link = file->open_link;
	pthread_mutex_unlock(&tree->lock);
}

int file_open(struct node *node, bool writes, struct file **out)
{
	struct file *file;
	int ret;

	if (atomic_load(&node->gone))
		return -ESTALE;
	file = calloc(1, sizeof *file);
	if (!file)
		return -ENOMEM;
	atomic_init(&file->refs, 1);
	file->writes = writes;
	ret = open_into(file, node);
	if (ret < 0) {
		free(file->text);
		free(file);
		return ret;
	}
	if (file->view)
		log_altered(file, node->tree->log);
	readahead_init(&file->readahead);
	file->node = node_get(node);
	list_add(node->tree, file);
	*out = file;
	return 0;
}

struct file *file_ref(struct file *file)
{
	atomic_fetch_add(&file->refs, 1);
	return file;
}

void file_unref(struct tree *tree, struct file *file)
{
	if (atomic_fetch_sub(&file->refs, 1) > 1)
		return;
	list_remove(tree, file);
	if (file->view) {
		atomic_fetch_sub(&file->node->home->opened, 1);
		node_unhold(file->node, &file->shown);
	}
	readahead_end(&file->readahead);
	node_put(tree, file->node, 1);
	free(file->text);
	free(file);
}

void file_close_all(struct tree *tree)
{
	while (tree->files)
		file_unref(tree, tree->files);
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
