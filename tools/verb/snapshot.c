/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.c - lists and changes the internal snapshots of an image.
 *
 * While the image is mounted for writing its daemon has it locked and cached, so changes are made
 * through the mount: the daemon creates a snapshot for mkdir(2), and deletes it for rmdir(2), in
 * snapshots/. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "lib/args.h"
#include "util/printable.h"
#include "util/err.h"
#include "image/info.h"
#include "lib/report.h"
#include "verbs.h"
#include "util/size.h"
#include "image/snapshot.h"
#include "snapshot.h"
#include "lib/input.h"
#include "lib/json.h"
#include "view/view.h"
#include "lib/mount-table.h"

#define COLUMNS   "%-9s %-16s %8s%20s%13s%11s"
#define ATTRIBUTE "user.vdisk.snapshot.name"
#define NAME_SIZE 256

static void print_one(const struct state *s)
{
	char date[32] = "", clock[40], count[24] = "";
	uint64_t seconds = s->vm_clock / 1000000000;
	struct tm tm;

	if (localtime_r(&s->when.tv_sec, &tm))
		strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(clock, sizeof clock, "%02" PRIu64 ":%02d:%02d.%03d", seconds / 3600,
		(int)(seconds / 60 % 60), (int)(seconds % 60), (int)(s->vm_clock / 1000000 % 1000));
	if (s->icount >= 0)
		snprintf(count, sizeof count, "%" PRId64, s->icount);
	printable_print(stdout, COLUMNS, s->id, s->name,
		size_text(s->vmstate ? s->vmstate->size : 0).text, date, clock, count);
	putchar('\n');
}

void snapshot_print_table(const struct image *img)
{
	puts("Snapshot list:");
	printf(COLUMNS "\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
	for (size_t i = 1; i < img->nstates; i++)
		print_one(img->states[i]);
}

static int list(const struct args *a, struct input *input)
{
	(void)a;
	if (input->json)
		return json_print(info_snapshots(input->img));
	if (input->img->nstates > 1)
		snapshot_print_table(input->img);
	return EXIT_SUCCESS;
}

/* The one option of -c, -a and -d that is given. */
static enum option_key change_of(const struct args *a)
{
	if (args_has(a, OPT_CREATE))
		return OPT_CREATE;
	return args_has(a, OPT_APPLY) ? OPT_APPLY : OPT_DELETE;
}

static int change(const struct args *a, struct input *input)
{
	enum option_key key = change_of(a);
	const char *name = args_value(a, key), *verb = "create";
	const struct state *s = image_find_state(input->img, name);
	struct err e = ERR_INIT;
	unsigned no;
	int r;

	if (key != OPT_CREATE)
		verb = key == OPT_APPLY ? "apply" : "delete";
	/* Deletes by name only: an ID may be the name of another snapshot. */
	if (key == OPT_DELETE && s && strcmp(s->name, name) != 0)
		s = NULL;
	if (key != OPT_CREATE && !s) {
		report("Could not %s snapshot '%s': snapshot not found", verb, name);
		return input_hint_snapshot(input, name);
	}
	if (key == OPT_CREATE)
		r = snapshot_create(input->img, name, &no, &e);
	else if (key == OPT_APPLY)
		r = snapshot_apply(input->img, s->no, &e);
	else
		r = snapshot_delete(input->img, s->no, &e);
	if (r < 0)
		return report_err(&e, "Could not %s snapshot '%s'", verb, name);
	return EXIT_SUCCESS;
}

/* In a mount. */

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

/* The directory in which a mount shows this image itself, not an overlay on it; malloc'ed.  NULL:
 * none. */
static char *find_mount(const char *image)
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

static int create_in_mount(const char *dir, const char *name)
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

static int delete_in_mount(const char *dir, const char *name)
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

static int change_mounted(const struct args *a, const char *dir)
{
	enum option_key key = change_of(a);
	const char *name = args_value(a, key);

	if (key == OPT_CREATE)
		return create_in_mount(dir, name);
	if (key == OPT_DELETE)
		return delete_in_mount(dir, name);
	return report(
		"Could not apply snapshot '%s': the disk is in use, mounted at %s", name, dir);
}

int run_snapshot(const struct args *a)
{
	size_t changes =
		a->options[OPT_CREATE].n + a->options[OPT_APPLY].n + a->options[OPT_DELETE].n;
	char *dir;
	int status;

	if (changes > 1 || (changes && args_has(a, OPT_LIST)))
		return args_misused("Cannot mix '-l', '-a', '-c', '-d'");
	if (!changes)
		return input_run(a, INPUT_ALONE, list);
	dir = a->n == 1 ? find_mount(a->operands[0]) : NULL;
	if (dir)
		status = change_mounted(a, dir);
	else
		status = input_run(a, INPUT_ALONE | INPUT_WRITE, change);
	free(dir);
	return status;
}
