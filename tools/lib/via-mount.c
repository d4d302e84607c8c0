/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* via-mount.c - see via-mount.h.  The daemon creates a snapshot for mkdir(2), and deletes it for
 * rmdir(2), in snapshots/. */
#include "via-mount.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mount-table.h"
#include "report.h"
#include "util/err.h"

#define ATTRIBUTE "user.vdisk.snapshot.name"
#define NAME_SIZE 256

/* Is image the top of the chain that dir shows? */
static bool shows(const char *dir, const char *image)
{
	struct json_object *info, *name;
	char path[PATH_MAX];
	bool it = false;

	if (snprintf(path, sizeof path, "%s/info.json", dir) >= (int)sizeof path)
		return false;
	info = json_object_from_file(path);
	if (json_object_object_get_ex(info, "filename", &name))
		it = strcmp(json_object_get_string(name), image) == 0;
	json_object_put(info);
	return it;
}

/* The directory of image (an absolute path without links) in this mount; malloc'ed, or NULL. */
static char *place_in(const struct mounted *m, const char *image)
{
	char *source = realpath(m->image, NULL), *dir = NULL;
	size_t n = source ? strlen(source) : 0;

	if (source && strncmp(image, source, n) == 0 && (image[n] == '/' || image[n] == '\0') &&
		asprintf(&dir, "%s%s", m->view, image + n) < 0)
		dir = NULL;
	free(source);
	if (dir && shows(dir, image))
		return dir;
	free(dir);
	return NULL;
}

char *via_mount_find(const char *image)
{
	char *path = realpath(image, NULL), *dir = NULL;
	struct mount_table m = {0};
	struct err e = ERR_INIT;

	if (path && mount_table_read(&m, &e) < 0)
		report_failure(&e);
	for (size_t i = 0; i < m.n && !dir; i++)
		if (!m.list[i].file)
			dir = place_in(&m.list[i], path);
	mount_table_free(&m);
	free(path);
	return dir;
}

static const char *reason_of(int code)
{
	switch (code) {
	case EROFS:
		return "the mount is read-only; unmount it first";
	case EBUSY:
		return "files of the snapshot are open";
	case EINVAL:
		return "not a valid snapshot name";
	case EOPNOTSUPP:
		return "the image cannot have snapshots";
	default:
		return strerror(code);
	}
}

int via_mount_create_snapshot(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (strchr(name, '/') ||
		snprintf(path, sizeof path, "%s/snapshots/%s", dir, name) >= (int)sizeof path)
		errno = EINVAL;
	else if (mkdir(path, 0700) == 0)
		return EXIT_SUCCESS;
	return report("Could not create snapshot '%s': %s: %s", name, dir, reason_of(errno));
}

/* The name of a snapshot may differ from that of its directory, which is escaped. */
static bool is_named(const char *path, const char *name)
{
	char value[NAME_SIZE];
	ssize_t n = getxattr(path, ATTRIBUTE, value, sizeof value);

	return n >= 0 && (size_t)n == strlen(name) && memcmp(value, name, (size_t)n) == 0;
}

int via_mount_delete_snapshot(const char *dir, const char *name)
{
	char snapshots[PATH_MAX], path[PATH_MAX];
	int code = ENAMETOOLONG;
	struct dirent *entry;
	DIR *d = NULL;

	if (snprintf(snapshots, sizeof snapshots, "%s/snapshots", dir) < (int)sizeof snapshots) {
		d = opendir(snapshots);
		code = d ? ENOENT : errno;
	}
	while (d && code == ENOENT && (entry = readdir(d)) != NULL) {
		const char *file = entry->d_name;

		if (strspn(file, ".") < strlen(file) &&
			snprintf(path, sizeof path, "%s/%s", snapshots, file) < (int)sizeof path &&
			is_named(path, name))
			code = rmdir(path) < 0 ? errno : 0;
	}
	if (d)
		closedir(d);
	if (code == 0)
		return EXIT_SUCCESS;
	return report("Could not delete snapshot '%s': %s", name,
		code == ENOENT ? "snapshot not found" : reason_of(code));
}
