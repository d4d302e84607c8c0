/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount.c - mounts a file system of a disk image in one command: vdiskfs mounts the image at a
 * hidden mount point, and the file of the partition there is mounted by the kernel (for root) or by
 * a FUSE program.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/args.h"
#include "lib/subprocess.h"
#include "lib/fs-mount.h"
#include "lib/image-mount.h"
#include "lib/part-file.h"
#include "lib/report.h"
#include "verbs.h"

static int mount_image(const struct fs_mount *m, const struct args *a)
{
	struct image_mount view;
	struct part_file file;
	bool good;

	if (!image_mount_begin(&view, a, m->image, m->writable))
		return EXIT_FAILURE;
	good = part_file_find(&file, view.dir, m->image, a->n == 3 ? a->operands[1] : NULL);
	if (good)
		good = fs_mount(m, &file);
	image_mount_end(&view, !good);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_mount(const struct args *a)
{
	struct fs_mount m = {.writable = args_has(a, OPT_RW)};
	const char *name;
	struct stat st;
	char *dir;
	int status;

	subprocess_search_sbin();
	if (a->n != 2 && a->n != 3)
		return args_misused("Expecting an image, perhaps a partition, and a directory");
	m.image = a->operands[0];
	name = a->operands[a->n - 1];
	dir = realpath(name, NULL);
	m.dir = dir;
	if (!dir || stat(dir, &st) < 0) {
		bool dead = errno == ENOTCONN;

		status = report("%s: %s", name, strerror(errno));
		if (dead)
			report_advice("a mount there is dead; vdisk umount %s removes it", name);
	} else if (!S_ISDIR(st.st_mode)) {
		status = report("%s: a mount point must be a directory", dir);
	} else {
		status = mount_image(&m, a);
	}
	free(dir);
	return status;
}
