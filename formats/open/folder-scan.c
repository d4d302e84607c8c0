/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-scan.c - recognising files by their names, and else by their first bytes.
 *
 * Thousands of images are listed at once, so most are not even looked at.  Opened are files whose
 * name says nothing, small ones that may be a descriptor of others, and where a raw file or a
 * directory is listed, too, those that may name a raw file.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "folder-impl.h"
#include "folder-scan.h"
#include "image/format.h"
#include "registry.h"
#include "io/host.h"
#include "image/image.h"
#include "open.h"
#include "io/io.h"
#include "package.h"
#include "probe.h"
#include "util/text.h"

#define HEAD_LEN 4096u

enum look {
	LOOK_NOTHING, /* nothing to show */
	LOOK_IMAGE,
	LOOK_PACKAGE,
	LOOK_MACHINE, /* a description: its disks are shown */
	LOOK_FOLDER,  /* perhaps something is in it */
};

/* One file. */

/* A file to be looked at, by the rules for whatever is opened here; or NULL. */
static struct io *open_file(const struct folder *f, const char *path)
{
	struct err ignored = ERR_INIT;
	struct io *io = NULL;

	return gate_open(&f->gate, path, "file", &io, &ignored) == 0 ? io : NULL;
}

static bool is_image(const struct folder *f, const char *path, const char *name)
{
	struct io *io = open_file(f, path);
	bool found = io && probe_is_image(io, name, HEAD_LEN);

	io_unref(io);
	return found;
}

static enum look look_at_file(const struct folder *f, const char *path, const char *name)
{
	if (package_is_named(name))
		return LOOK_PACKAGE;
	if (text_ends_with(name, ".vmx") || text_ends_with(name, ".vbox"))
		return LOOK_MACHINE;
	if (registry_find_by_filename(name) || is_image(f, path, name))
		return LOOK_IMAGE;
	return LOOK_NOTHING;
}

static unsigned char type_of(const char *path, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type;
	return host_lstat(path, &st) == 0 ? IFTODT(st.st_mode) : DT_UNKNOWN;
}

/* Links to directories are not followed: they would lead round in circles. */
static enum look look_at(const struct folder *f, const char *path, const struct dirent *d)
{
	switch (type_of(path, d)) {
	case DT_REG:
	case DT_LNK:
		return look_at_file(f, path, d->d_name);
	case DT_DIR:
		return image_is_bundle(path) ? LOOK_IMAGE : LOOK_FOLDER;
	default:
		return LOOK_NOTHING;
	}
}

/* Names in images. */

struct naming {
	struct folder *f;
	const char *path; /* of the image */
	char *parent;     /* the last that was named; malloc'ed or NULL */
	unsigned count;
	int ret;
	struct err *e;
};

/* Another file, as the one at path names it; malloc'ed or NULL. */
static char *find_beside(const struct folder *f, const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char *dir = strndup(path, slash > path ? (size_t)(slash - path) : 1);
	char *found = dir ? folder_find(f, dir, name) : NULL;

	free(dir);
	return found;
}

static void take_name(void *arg, const char *name, bool is_parent)
{
	struct naming *n = arg;
	char *other = find_beside(n->f, n->path, name);

	n->count++;
	if (is_parent) {
		free(n->parent);
		n->parent = other;
		return;
	}
	if (other && n->ret == 0 && strcmp(other, n->path) != 0)
		n->ret = folder_claim(n->f, other, n->e);
	free(other);
}

/* Nobody needs to read a file to its end that begins without a name. */
static void visit_names(const struct format *f, struct io *io, struct naming *n)
{
	struct err ignored = ERR_INIT;
	size_t len = MIN(io->size, HEAD_LEN);
	unsigned char *text = malloc(LIMIT_DESCRIPTOR);

	if (!text)
		return;
	if (io_read(io, text, len, 0, &ignored) == 0)
		f->names(text, len, take_name, n);
	if (n->count > 0 && io->size > len) {
		len = MIN(io->size, LIMIT_DESCRIPTOR);
		if (io_read(io, text, len, 0, &ignored) == 0)
			f->names(text, len, take_name, n);
	}
	free(text);
}

static void read_names(const struct format *f, struct naming *n, bool large_too)
{
	struct io *io = open_file(n->f, n->path);

	if (io && (large_too || f->names_raw || io->size <= LIMIT_DESCRIPTOR))
		visit_names(f, io, n);
	io_unref(io);
}

int folder_scan_names(struct folder *f, const char *path, bool parents, struct err *e)
{
	const struct format *format = registry_find_by_filename(path);
	struct naming n = {.f = f, .path = path, .e = e};
	char *held = NULL;

	for (unsigned depth = 0; format && format->names && depth < LIMIT_CHAIN_DEPTH; depth++) {
		read_names(format, &n, parents);
		if (!parents || !n.parent || n.ret < 0)
			break;
		free(held);
		n.path = held = n.parent;
		n.parent = NULL;
		n.ret = folder_claim(f, held, e);
		format = registry_find_by_filename(held);
	}
	free(n.parent);
	free(held);
	return n.ret;
}

/* The directory. */

#define BUDGET 4096 /* entries that are looked at for one that can be shown */

static bool is_hidden(const char *name)
{
	return name[0] == '.';
}

static int add_empty(struct folder *f, const char *path, struct err *e)
{
	char **empty = reallocarray(f->empty, f->nempty + 1, sizeof *empty);

	if (!empty)
		return err_nomem(e);
	f->empty = empty;
	empty[f->nempty] = strdup(path);
	return empty[f->nempty] ? (f->nempty++, 0) : err_nomem(e);
}

static bool holds_something(struct folder *f, const char *dir, unsigned *budget);

static bool is_something(
	struct folder *f, const char *dir, const struct dirent *d, unsigned *budget)
{
	char *path = is_hidden(d->d_name) ? NULL : folder_join(dir, d->d_name);
	bool found = false;

	if (path && !folder_has_claim(f, path)) {
		enum look look = look_at(f, path, d);

		found = look == LOOK_FOLDER ? holds_something(f, path, budget)
					    : look != LOOK_NOTHING;
	}
	free(path);
	return found;
}

/* Is anything in a directory or below it to be shown?  Where that takes long to tell: yes. */
static bool holds_something(struct folder *f, const char *dir, unsigned *budget)
{
	struct err ignored = ERR_INIT;
	DIR *list = host_opendir(dir);
	bool found = false;
	struct dirent *d;

	while (list && !found && (d = readdir(list)))
		found = *budget == 0 || (--*budget, is_something(f, dir, d, budget));
	if (list)
		closedir(list);
	if (!found)
		add_empty(f, dir, &ignored);
	return found;
}

static bool names_raw(const char *path)
{
	const struct format *format = registry_find_by_filename(path);

	return format && format->names_raw;
}

static int add_image(struct folder *f, const char *name, const char *path, struct err *e)
{
	if (!folder_add(f, FOLDER_IMAGE, name, path, e))
		return -ENOMEM;
	return names_raw(path) ? 0 : folder_scan_names(f, path, false, e);
}

static int add_path(struct folder *f, const struct dirent *d, const char *path, struct err *e)
{
	unsigned budget = BUDGET;

	switch (look_at(f, path, d)) {
	case LOOK_IMAGE:
		return add_image(f, d->d_name, path, e);
	case LOOK_PACKAGE:
		return folder_add(f, FOLDER_PACKAGE, d->d_name, path, e) ? 0 : -ENOMEM;
	case LOOK_FOLDER:
		if (holds_something(f, path, &budget) &&
			!folder_add(f, FOLDER_SUB, d->d_name, path, e))
			return -ENOMEM;
		return 0;
	default:
		return 0;
	}
}

/* Could an entry, or one of a directory below, be the raw file that an image names? */
static bool may_be_named(const struct folder_entry *entry)
{
	return entry->kind == FOLDER_SUB ||
	       (entry->kind == FOLDER_IMAGE &&
		       registry_find_by_filename(entry->path) == registry_find("raw"));
}

/* Claims the raw files that entries from number from on name. */
static int claim_raw_files(struct folder *f, size_t from, struct err *e)
{
	bool some = false;
	int r = 0;

	for (size_t i = from; i < f->n; i++)
		some = some || may_be_named(&f->entries[i]);
	for (size_t i = from; some && r == 0 && i < f->n; i++)
		if (names_raw(f->entries[i].path))
			r = folder_scan_names(f, f->entries[i].path, false, e);
	return r;
}

int folder_scan(struct folder *f, struct err *e)
{
	size_t from = f->n;
	struct dirent **list;
	int n = host_scandir(f->path, &list, NULL, NULL), r = 0;

	if (n < 0)
		return err_set(e, errno, "%s: %s", f->path, strerror(errno));
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		char *path = is_hidden(name) || r < 0 ? NULL : folder_join(f->path, name);

		if (path)
			r = add_path(f, list[i], path, e);
		free(path);
		free(list[i]);
	}
	free(list);
	return r == 0 ? claim_raw_files(f, from, e) : r;
}
