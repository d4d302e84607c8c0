/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* node.c - nodes: what they are called, how large they are, what is in them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/access.h"
#include "util/bytes.h"
#include "util/err.h"
#include "exports.h"
#include "open/folder.h"
#include "image/format.h"
#include "open/registry.h"
#include "new-image.h"
#include "io/host.h"
#include "image/image.h"
#include "image/info.h"
#include "base/filename.h"
#include "tree-impl.h"
#include "tree.h"
#include "view/view.h"
#include "ops/write.h"

#define ROOT_INO 1
#define NSEC     INT64_C(1000000000)

/* To count what is stored, and how many times as long a count that was slow is good enough. */
#define SLOW     (NSEC / 1000)
#define GOOD_FOR 20

void tree_make_writable(struct tree *tree)
{
	tree->writable = true;
}

void tree_set_group(struct tree *tree, gid_t group)
{
	struct err ignored = ERR_INIT;
	struct node *root = tree->root;
	const struct image *img;

	tree->group = group;
	if (!root->image || pooled_image_pin(root->image, ANY_GENERATION, &img, &ignored) < 0)
		return;
	atomic_store(&root->readers, access_image_readers(img, group));
	pooled_image_unpin(root->image);
}

/* What images are made and grow in when a directory can be written; else the mount is full, and as
 * large as what it shows. */
void tree_statvfs(const struct tree *tree, struct statvfs *st)
{
	int fd = tree->writable && tree->dir.path ? host_kept(tree->dir.path) : -1;

	if (fd >= 0 && fstatvfs(fd, st) == 0)
		return;
	*st = (struct statvfs){.f_bsize = 4096, .f_frsize = 512, .f_namemax = NAME_MAX};
	st->f_blocks = div_round_up(tree->size, st->f_frsize);
}

void tree_changed(struct tree *tree)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	atomic_fetch_add(&tree->changes, 1);
	atomic_store(&tree->wrote_at, now.tv_sec * NSEC + now.tv_nsec);
}

/* FNV-1a over the path: the same number at every mount of the same image. */
static uint64_t path_hash(uint64_t parent, const char *name)
{
	uint64_t hash = (parent ^ '/') * 0x100000001b3;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
	return hash > ROOT_INO ? hash : ROOT_INO + 1;
}

static bool is_home(enum node_kind kind)
{
	return kind == NODE_IMAGE || kind == NODE_SNAPSHOT || kind == NODE_PACKAGE;
}

bool node_is_top(const struct node *node)
{
	return node->kind == NODE_PACKAGE || node->kind == NODE_FOLDER ||
	       (node->kind == NODE_IMAGE && node->parent->kind != NODE_CHAIN);
}

/* What a node has of the one that it is in. */
static void inherit(struct node *node, const struct node *parent)
{
	if (!node->home)
		node->home = parent->home;
	node->when = parent->when;
	atomic_store(
		&node->readers, node_is_top(node) ? ACCESS_ALL : atomic_load(&parent->readers));
	if (!parent->image || node_is_top(node) || node->kind == NODE_ERROR)
		return;
	node->image = pooled_image_ref(parent->image);
	node->generation = pooled_image_generation(parent->image);
}

struct node *node_new(struct tree *tree, struct node *parent, enum node_kind kind, const char *name)
{
	struct node *node = calloc(1, sizeof *node);

	if (!node)
		return NULL;
	node->name = strdup(name);
	if (!node->name) {
		free(node);
		return NULL;
	}
	atomic_init(&node->refs, 1);
	atomic_init(&node->measured, UNMEASURED);
	atomic_init(&node->readers, ACCESS_ALL);
	node->kind = kind;
	node->parent = parent ? node_get(parent) : node;
	node->ino = parent ? path_hash(parent->ino, name) : ROOT_INO;
	node->tree = tree;
	if (is_home(kind))
		node->home = node;
	if (parent)
		inherit(node, parent);
	return node;
}

void node_free(struct node *node)
{
	if (node->kind == NODE_PARTITION)
		free(node->part);
	if (node->kind == NODE_PARTITIONS && node->table) {
		partition_table_free(node->table);
		free(node->table);
	}
	if (node->kind == NODE_LINK || node->kind == NODE_ERROR)
		free(node->text);
	if (node->kind == NODE_FOLDER)
		folder_unref(node->folder);
	folder_unref(node->place.of);
	if (node->kind == NODE_EXPORTS)
		exports_free(node->exports);
	if (node->image)
		pooled_image_drop_view(node->image, &node->derived);
	pooled_image_unref(node->image);
	free(node->name);
	free(node);
}

static bool same_place(const struct place *a, const struct place *b)
{
	if (!a->of || !b->of)
		return a->of == b->of;
	return a->shot == b->shot && folder_entry_is_same(a->entry, b->entry);
}

bool node_is_same(const struct node *old, const struct node *new)
{
	if (old->kind != new->kind || !same_place(&old->place, &new->place))
		return false;
	if (old->kind == NODE_ERROR)
		return strcmp(old->text, new->text) == 0;
	return node_is_top(old) || (old->image == new->image && old->generation == new->generation);
}

/* A disk of a directory as it is now, not as a machine's snapshot has it, and not in a package. */
static bool is_disk_of_dir(const struct node *home)
{
	const struct place *place = &home->place;

	return home->kind == NODE_IMAGE && place->of && place->entry->kind == FOLDER_IMAGE &&
	       !place->shot;
}

bool node_is_live(const struct node *node)
{
	const struct node *home = node->home;

	return node->tree->writable && home && (home == node->tree->root || is_disk_of_dir(home));
}

struct new_image *node_get_new_image(const struct node *node)
{
	return node->image && node_is_top(node) ? pooled_image_get_new(node->image) : NULL;
}

struct new_image *node_get_new_disk(const struct node *node)
{
	return node->kind == NODE_DISK && node_is_live(node) ? node_get_new_image(node->home)
							     : NULL;
}

/* The top of the chain shows the same. */
bool node_can_change(const struct node *node)
{
	const struct node *home = node->home;

	if (home && home->layer == 0 && home->parent->kind == NODE_CHAIN)
		home = home->parent->home;
	return home && node_is_live(home);
}

mode_t node_type(const struct node *node)
{
	switch (node->kind) {
	case NODE_DISK:
	case NODE_PARTITION:
	case NODE_VMSTATE:
	case NODE_INFO:
	case NODE_ERROR:
	case NODE_EXPORT:
		return S_IFREG;
	case NODE_LINK:
		return S_IFLNK;
	default:
		return S_IFDIR;
	}
}

/* The top that a node is below, or is. */
static struct node *top_of(const struct node *node)
{
	while (!node_is_top(node))
		node = node->parent;
	return (struct node *)node;
}

/* The image is pinned. */
static int hold_state(const struct node *node, struct shown *shown)
{
	const struct node *home = node->home;
	unsigned no = node_is_top(home) ? pooled_image_state(node->image) : home->state;

	shown->img = shown->top;
	for (unsigned i = 0; i < home->layer; i++)
		shown->img = shown->img->parent;
	shown->state = state_get(shown->img, no);
	return shown->state ? 0 : -ESTALE;
}

/* What came of pinning the source. */
static int take_state(const struct node *node, int ret, struct shown *shown)
{
	if (ret == -ESTALE && !atomic_load(&node->gone))
		tree_reset(node->tree, top_of(node));
	return ret < 0 ? ret : hold_state(node, shown);
}

int node_pin(const struct node *node, struct shown *shown, struct err *e)
{
	int pinned = pooled_image_pin(node->image, node->generation, &shown->top, e);
	int ret = take_state(node, pinned, shown);

	if (ret < 0 && pinned == 0)
		pooled_image_unpin(node->image);
	return ret;
}

void node_unpin(const struct node *node, const struct shown *shown)
{
	state_put(shown->state);
	pooled_image_unpin(node->image);
}

int node_hold(const struct node *node, bool writes, struct shown *shown, struct err *e)
{
	int held = pooled_image_hold(node->image, node->generation, writes, &shown->top, e);
	int ret = take_state(node, held, shown);

	if (ret < 0 && held == 0)
		pooled_image_unhold(node->image);
	return ret;
}

void node_unhold(const struct node *node, const struct shown *shown)
{
	state_put(shown->state);
	pooled_image_unhold(node->image);
}

struct slice {
	const struct partition *entry;
	struct view *disk;
};

static int make_slice(void *arg, struct view **view, struct err *e)
{
	const struct slice *slice = arg;

	*view = view_slice(slice->disk, slice->entry->start, slice->entry->len, e);
	return *view ? 0 : -e->code;
}

struct export_args {
	const struct node *node;
	const struct shown *shown;
};

static int make_export(void *arg, struct view **view, struct err *e)
{
	const struct export_args *x = arg;

	return exports_make(x->node->parent->exports, x->shown->img, x->shown->state,
		x->node->layout, x->node->name, view, e);
}

int node_view(struct node *node, const struct shown *shown, struct view **view, struct err *e)
{
	const struct state *state = shown->state;
	struct slice slice;
	struct export_args x;
	int ret;

	*view = NULL;
	if (!state)
		return 0;
	switch (node->kind) {
	case NODE_DISK:
		*view = state->view;
		return 0;
	case NODE_VMSTATE:
		*view = state->vmstate;
		return 0;
	case NODE_PARTITION:
		slice = (struct slice){.entry = node->part->entry, .disk = state->view};
		ret = pooled_image_derive(node->image, &node->derived, make_slice, &slice, e);
		*view = node->derived.view;
		return ret;
	case NODE_EXPORT:
		x = (struct export_args){.node = node, .shown = shown};
		ret = pooled_image_derive(node->image, &node->derived, make_export, &x, e);
		*view = node->derived.view;
		return ret;
	default:
		return 0;
	}
}

char *node_text(const struct node *node, const struct shown *shown, struct err *e)
{
	char *text = NULL;

	if (node->kind == NODE_INFO)
		return info_json(shown->img, shown->state, e);
	text = strdup(node->text);
	if (!text)
		err_nomem(e);
	return text;
}

/* How large is a file, and how much of it is stored? */
struct measure {
	uint64_t size, stored;
	blksize_t step; /* what to read or write at a time, 0: whatever */
};

/* Copying programs take it for the least that a hole is, too.  Of zeroes that are written formats
 * with units store none anyway; a plain file has the holes that are made. */
static blksize_t step_of(const struct node *node, const struct shown *shown)
{
	bool disk = node->kind == NODE_DISK || node->kind == NODE_PARTITION;

	if (node->kind == NODE_EXPORT)
		return EXPORT_STEP;
	if (disk && node_is_live(node) && shown->img->format != registry_find("raw"))
		return WRITE_MAX;
	return 0;
}

static int measure_text(const struct node *node, const struct shown *shown, uint64_t *bytes)
{
	struct err e = ERR_INIT;
	char *text = node_text(node, shown, &e);

	if (!text)
		return -e.code;
	*bytes = strlen(text);
	free(text);
	return 0;
}

/* How often that which a node shows has changed. */
static unsigned changes_of(const struct node *node)
{
	return node_can_change(node) ? atomic_load(&node->tree->changes) : 0;
}

static uint64_t count_stored(
	const struct node *node, const struct shown *shown, const struct view *view)
{
	if (node->kind != NODE_EXPORT)
		return view_stored(view);
	return exports_stored(node->parent->exports, shown->state, view);
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

/* Who writes to a large disk and looks at it all the time would have it counted all the time: it is
 * for a part of the time only, and what is quick is always counted. */
static bool is_counted(const struct node *node)
{
	return atomic_load_explicit(&node->measured, memory_order_relaxed) != UNMEASURED &&
	       (atomic_load(&node->measured_at) == changes_of(node) ||
		       now() < atomic_load(&node->good_until));
}

/* Two threads that ask at the same time both count, and find the same. */
static int count(struct node *node, const struct shown *shown, const struct view *view)
{
	unsigned changes = changes_of(node);
	int64_t begin = now(), took;
	uint64_t stored;
	bool good;
	int ret = 0;

	if (view)
		stored = count_stored(node, shown, view);
	else
		ret = measure_text(node, shown, &stored);
	if (ret < 0)
		return ret;
	took = now() - begin;
	/* What has no bytes at all programs do not even read. */
	good = view && stored > 0 && took > SLOW;
	atomic_store(&node->measured, stored);
	atomic_store(&node->good_until, good ? begin + GOOD_FOR * took : 0);
	atomic_store(&node->measured_at, changes);
	return 0;
}

static int measure_pinned(struct node *node, const struct shown *shown, struct measure *m)
{
	const struct new_image *new_image = node_get_new_disk(node);
	struct view *view;
	struct err e = ERR_INIT;
	int ret = node_view(node, shown, &view, &e);

	if (ret == 0 && !is_counted(node))
		ret = count(node, shown, view);
	if (ret < 0)
		return ret;
	m->stored = atomic_load_explicit(&node->measured, memory_order_relaxed);
	m->step = step_of(node, shown);
	m->size = !view ? m->stored : new_image ? new_image_size(new_image, view) : view->size;
	m->stored = MIN(m->stored, m->size); /* it may have become shorter since */
	return ret;
}

static int measure(struct node *node, struct measure *m)
{
	struct shown shown = {.img = NULL};
	struct err e = ERR_INIT;
	int ret;

	if (node->kind == NODE_ERROR)
		return measure_pinned(node, &shown, m);
	ret = node_pin(node, &shown, &e);
	if (ret < 0)
		return ret;
	ret = measure_pinned(node, &shown, m);
	node_unpin(node, &shown);
	return ret;
}

/* Times and permissions of what is in a directory of the host are those that are there. */
static bool host_stat_of(const struct node *node, struct stat *st)
{
	const struct place *place = node_can_change(node) ? &node->home->place : &node->place;
	const char *path = NULL;

	if (place->of && !place->shot)
		path = place->entry->path;
	else if (node->kind == NODE_FOLDER)
		path = node->tree->dir.path;
	return path && host_stat(path, st) == 0;
}

/* host: NULL when there is nothing in the host for it. */
static struct timespec time_of(const struct node *node, const struct stat *host)
{
	int64_t wrote_at = atomic_load(&node->tree->wrote_at);

	if (!host && wrote_at > 0 && node_can_change(node))
		return (struct timespec){wrote_at / NSEC, wrote_at % NSEC};
	return host ? host->st_mtim : node->when;
}

struct timespec node_time(const struct node *node)
{
	struct stat host;

	return time_of(node, host_stat_of(node, &host) ? &host : NULL);
}

/* One that has not been opened yet may be read by those who may read its first file. */
static mode_t readers_of(const struct node *node, const struct stat *host)
{
	mode_t readers = atomic_load(&node->readers);

	return host ? readers & access_readers(host->st_mode, host->st_gid, node->tree->group)
		    : readers;
}

bool node_list_stays(const struct node *node)
{
	return !node_is_top(node) && node->kind != NODE_SNAPSHOTS;
}

int node_is_measured(const struct node *node)
{
	return !S_ISREG(node_type(node)) || is_counted(node);
}

bool node_has_holes(const struct node *node, const struct view *view)
{
	uint64_t stored = atomic_load_explicit(&node->measured, memory_order_relaxed);

	return view && stored < view->size; /* UNMEASURED is more than any size */
}

int node_stat(struct node *node, const struct access *access, struct stat *st)
{
	struct measure m = {0};
	struct stat host;
	bool is_there = host_stat_of(node, &host);
	int ret;

	memset(st, 0, sizeof *st);
	st->st_ino = node->ino;
	st->st_uid = access->uid;
	st->st_gid = access->gid;
	st->st_mode =
		access_mode(access, node_type(node), readers_of(node, is_there ? &host : NULL));
	/* Also of directories: how many are in one is not known before it is listed, and 1 is what
	 * programs take for "not counted". */
	st->st_nlink = 1;
	st->st_mtim = st->st_ctim = st->st_atim = time_of(node, is_there ? &host : NULL);
	if (S_ISLNK(st->st_mode))
		st->st_size = (off_t)strlen(node->text);
	if (!S_ISREG(st->st_mode))
		return 0;
	ret = measure(node, &m);
	st->st_size = (off_t)m.size;
	st->st_blksize = m.step;
	st->st_blocks = (blkcnt_t)div_round_up(m.stored, 512);
	return ret;
}

void node_path(const struct node *node, char *buf, size_t size)
{
	size_t used;

	if (node->parent == node) {
		buf[0] = '\0';
		return;
	}
	node_path(node->parent, buf, size);
	used = strlen(buf);
	snprintf(buf + used, size - used, "%s%s", used ? "/" : "", node->name);
}

char *layer_name(const struct image *img, unsigned layer)
{
	char *raw, *name;

	if (asprintf(&raw, "%u-%s", layer, image_basename(img)) < 0)
		return NULL;
	name = filename_escape(raw);
	free(raw);
	return name;
}
