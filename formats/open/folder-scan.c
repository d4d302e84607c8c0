/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-scan.c - recognising files by their names, and else by their first bytes.
 *
 * A directory may have thousands of images, so most are not opened.  A file is opened if its
 * name is no image's, if it is small and may be a descriptor and, in a list with a raw file or a
 * directory, if it may name a raw file.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "folder-impl.h"
#include "folder-scan.h"
#include "image/format.h"
#include "registry.h"
#include "io/host.h"
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

/* Opens a file through the gate; NULL: that is not possible. */
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

/* Links to directories are not followed: they may form loops. */
static enum look look_at(const struct folder *f, const char *path, const struct dirent *d)
{
	const char *name = d->d_name;

	switch (host_entry_type(path, d)) {
	case DT_REG:
	case DT_LNK:
		if (package_is_named(name))
			return LOOK_PACKAGE;
		if (text_ends_with(name, ".vmx") || text_ends_with(name, ".vbox"))
			return LOOK_MACHINE;
		if (registry_find_by_filename(name) || is_image(f, path, name))
			return LOOK_IMAGE;
		return LOOK_NOTHING;
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

static void take_name(void *arg, const char *name, bool is_parent)
{
	struct naming *n = arg;
	const char *slash = strrchr(n->path, '/');
	char *dir = strndup(n->path, slash > n->path ? (size_t)(slash - n->path) : 1);
	char *other = dir ? folder_find(n->f, dir, name) : NULL;

	free(dir);
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

/* A file that does not begin with a name is not read to its end. */
static void read_names(const struct format *f, struct naming *n, bool large_too)
{
	struct io *io = open_file(n->f, n->path);
	unsigned char *text = io ? malloc(LIMIT_DESCRIPTOR) : NULL;
	struct err ignored = ERR_INIT;
	size_t len;

	n->count = 0;
	if (text && (large_too || f->names_raw || io->size <= LIMIT_DESCRIPTOR)) {
		len = MIN(io->size, HEAD_LEN);
		if (io_read(io, text, len, 0, &ignored) == 0)
			f->names(text, len, take_name, n);
		if (n->count > 0 && io->size > len) {
			len = MIN(io->size, LIMIT_DESCRIPTOR);
			if (io_read(io, text, len, 0, &ignored) == 0)
				f->names(text, len, take_name, n);
		}
	}
	free(text);
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

#define BUDGET 4096 /* entries that are read in search of one that can be shown */

/* Is there anything to show in a directory or below it?  True when the budget is used up before. */
static bool holds_something(struct folder *f, const char *dir, unsigned *budget)
{
	DIR *list = host_opendir(dir);
	bool found = false;
	struct dirent *d;

	while (list && !found && (d = readdir(list))) {
		enum look look = LOOK_NOTHING;
		char *path;

		if (*budget == 0) {
			found = true;
			break;
		}
		--*budget;
		path = d->d_name[0] == '.' ? NULL : folder_join(dir, d->d_name);
		if (path && !folder_has_claim(f, path))
			look = look_at(f, path, d);
		found = look == LOOK_FOLDER ? holds_something(f, path, budget)
					    : look != LOOK_NOTHING;
		free(path);
	}
	if (list)
		closedir(list);
	if (!found)
		string_list_add(&f->empty, dir);
	return found;
}

static bool names_raw(const char *path)
{
	const struct format *format = registry_find_by_filename(path);

	return format && format->names_raw;
}

static int add_path(struct folder *f, const struct dirent *d, const char *path, struct err *e)
{
	unsigned budget = BUDGET;

	switch (look_at(f, path, d)) {
	case LOOK_IMAGE:
		if (!folder_add(f, FOLDER_IMAGE, d->d_name, path, e))
			return -ENOMEM;
		return names_raw(path) ? 0 : folder_scan_names(f, path, false, e);
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

/* Claims the raw files that entries from number from on name, unless no entry can be one. */
static int claim_raw_files(struct folder *f, size_t from, struct err *e)
{
	const struct format *raw = registry_find("raw");
	bool some = false;
	int r = 0;

	for (size_t i = from; i < f->n && !some; i++)
		some = f->entries[i].kind == FOLDER_SUB ||
		       (f->entries[i].kind == FOLDER_IMAGE &&
			       registry_find_by_filename(f->entries[i].path) == raw);
	for (size_t i = from; some && r == 0 && i < f->n; i++)
		if (names_raw(f->entries[i].path))
			r = folder_scan_names(f, f->entries[i].path, false, e);
	return r;
}

int folder_scan(struct folder *f, struct err *e)
{
	size_t from = f->n;
	struct dirent **list;
	int n = host_scandir(f->path, &list, NULL), r = 0;

	if (n < 0)
		return err_set(e, errno, "%s: %s", f->path, strerror(errno));
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		char *path = name[0] == '.' || r < 0 ? NULL : folder_join(f->path, name);

		if (path)
			r = add_path(f, list[i], path, e);
		free(path);
		free(list[i]);
	}
	free(list);
	return r == 0 ? claim_raw_files(f, from, e) : r;
}
