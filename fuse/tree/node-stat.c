/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* node-stat.c - sizes, times and permissions of nodes.
 *
 * The bytes stored are counted once and kept.  In an image that is written each write outdates
 * them, and a monitor that looks at a large disk all the time would have it counted all the time:
 * so a count that took long stays good for GOOD_FOR times as long as it took.
 */
#include "node-stat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/host.h"
#include "view/view.h"
#include "image/format.h"
#include "image/image.h"
#include "open/folder.h"
#include "open/registry.h"
#include "base/access.h"
#include "exports.h"
#include "new-image.h"
#include "node.h"
#include "shown.h"

#define SLOW     (NSEC / 1000)
#define GOOD_FOR 20

static unsigned changes_of(const struct node *node)
{
	return node_can_change(node) ? atomic_load(&node->tree->changes) : 0;
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

static bool is_counted(const struct node *node)
{
	return atomic_load_explicit(&node->stored, memory_order_relaxed) != NOT_COUNTED &&
	       (atomic_load(&node->counted_at) == changes_of(node) ||
		       now() < atomic_load(&node->good_until));
}

/* Two threads may count the same node at the same time; both get the same number. */
static int count(struct node *node, const struct shown *shown, const struct view *view)
{
	unsigned changes = changes_of(node);
	int64_t begin = now(), took;
	struct err e = ERR_INIT;
	uint64_t stored;
	char *text;

	if (!view) {
		text = shown_text(node, shown, &e);
		if (!text)
			return -e.code;
		stored = strlen(text);
		free(text);
	} else if (node->kind == NODE_EXPORT) {
		stored = exports_stored(node->parent->exports, shown->state, view);
	} else {
		stored = view_stored(view);
	}
	took = now() - begin;
	atomic_store(&node->stored, stored);
	/* A program does not even read a file that has no bytes stored: 0 must not be outdated. */
	atomic_store(
		&node->good_until, view && stored > 0 && took > SLOW ? begin + GOOD_FOR * took : 0);
	atomic_store(&node->counted_at, changes);
	return 0;
}

/* st_blksize, which copying programs also take for the smallest hole.  Formats with units store no
 * zeroes anyway, so large steps lose nothing; in a plain file they would lose small holes. */
static blksize_t step_of(const struct node *node, const struct shown *shown)
{
	bool is_disk = node->kind == NODE_DISK || node->kind == NODE_PARTITION ||
		       node->kind == NODE_VOLUME;

	if (node->kind == NODE_EXPORT)
		return EXPORT_STEP;
	return is_disk && node_is_live(node) && shown->img->format != registry_find("raw")
		       ? WRITE_MAX
		       : 0;
}

/* Sets st_size, st_blksize and st_blocks.  The image is pinned, unless the node is a NODE_ERROR. */
static int set_size(struct node *node, const struct shown *shown, bool counts, struct stat *st)
{
	const struct new_image *new_image = node_get_new_disk(node);
	uint64_t stored, bytes;
	struct view *view;
	struct err e = ERR_INIT;
	int ret = shown_view(node, shown, &view, &e);

	/* The text of an image that is written follows its host file, too. */
	if (ret == 0 && counts && (!is_counted(node) || (!view && node_can_change(node))))
		ret = count(node, shown, view);
	if (ret < 0)
		return ret;
	stored = atomic_load_explicit(&node->stored, memory_order_relaxed);
	if (!view && stored == NOT_COUNTED)
		stored = 0;
	if (view)
		bytes = new_image ? new_image_size(new_image, view) : view->size;
	else
		bytes = stored;
	st->st_size = (off_t)bytes;
	st->st_blksize = step_of(node, shown);
	/* The disk may have become shorter. */
	st->st_blocks = (blkcnt_t)div_round_up(MIN(stored, bytes), 512);
	return 0;
}

/* The file or directory of the host that a node stands for, if any: its times and permissions are
 * those of the node. */
static bool host_stat_of(const struct node *node, struct stat *st)
{
	const struct host_place *place =
		node_can_change(node) ? &node->state_dir->place : &node->place;
	const char *path = NULL;

	if (place->folder && !place->snapshot)
		path = place->entry->path;
	else if (node->kind == NODE_FOLDER)
		path = node->tree->dir.path;
	return path && host_stat(path, st) == 0;
}

/* host: NULL: the node stands for no file of the host. */
static struct timespec time_of(const struct node *node, const struct stat *host)
{
	int64_t wrote_at = atomic_load(&node->tree->wrote_at);

	if (!host && wrote_at > 0 && node_can_change(node))
		return (struct timespec){wrote_at / NSEC, wrote_at % NSEC};
	return host ? host->st_mtim : node->mtime;
}

struct timespec node_stat_mtime(const struct node *node)
{
	struct stat host;

	return time_of(node, host_stat_of(node, &host) ? &host : NULL);
}

static int fill_stat(struct node *node, const struct access *access, bool counts, struct stat *st)
{
	mode_t readers = atomic_load(&node->readers);
	struct shown shown = {.img = NULL};
	struct err e = ERR_INIT;
	struct stat host;
	bool has_host = host_stat_of(node, &host);
	int ret;

	/* An image that was not opened yet may be read by those who may read its first file. */
	if (has_host)
		readers &= access_readers(host.st_mode, host.st_gid, node->tree->group);
	memset(st, 0, sizeof *st);
	st->st_ino = node->ino;
	st->st_uid = access->uid;
	st->st_gid = access->gid;
	st->st_mode = access_mode(access, node_type(node), readers);
	/* Also of directories: the number of subdirectories is unknown before the list is
	 * generated, and programs take 1 for "not counted". */
	st->st_nlink = 1;
	st->st_mtim = st->st_ctim = st->st_atim = time_of(node, has_host ? &host : NULL);
	if (S_ISLNK(st->st_mode))
		st->st_size = (off_t)strlen(node->text);
	if (!S_ISREG(st->st_mode))
		return 0;
	if (node->kind == NODE_ERROR)
		return set_size(node, &shown, counts, st);
	ret = shown_pin(node, USE_BRIEFLY, &shown, &e);
	if (ret < 0)
		return ret;
	ret = set_size(node, &shown, counts, st);
	shown_unpin(node, &shown);
	return ret;
}

int node_stat(struct node *node, const struct access *access, struct stat *st)
{
	return fill_stat(node, access, true, st);
}

int node_stat_uncounted(struct node *node, const struct access *access, struct stat *st)
{
	return fill_stat(node, access, false, st);
}

bool node_stat_is_quick(const struct node *node)
{
	return !S_ISREG(node_type(node)) || is_counted(node);
}
