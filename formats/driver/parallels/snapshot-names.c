/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-names.c - Snapshots.xml beside a bundle: the names and dates of snapshots.
 *
 * It is optional.  Its place above the bundle is fixed and not named by the image: opening it needs
 * no allowed directory.
 */
#include "snapshot-names.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "util/xml.h"
#include "io/host.h"
#include "io/io.h"
#include "image/image.h"
#include "descriptor.h"

#define NAME "../Snapshots.xml"
#define ROOT "ParallelsSavedStates"
#define ITEM "SavedStateItem" /* nested like the snapshots */

static struct io *open_beside(const struct image *img, struct err *e)
{
	struct io *io = NULL;
	char *path;
	int fd;

	if (!image_dir(img) || asprintf(&path, "%s/%s", image_dir(img), NAME) < 0)
		return NULL;
	fd = host_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0);
	if (fd >= 0)
		io = io_from_fd(fd, path, e);
	free(path);
	return io;
}

struct xml *parallels_snapshot_names_read(const struct image *img)
{
	struct err e = ERR_INIT;
	struct io *io = open_beside(img, &e);
	struct xml *root = NULL;

	if (io && parallels_descriptor_parse(io, &root, &e) < 0)
		root = NULL;
	io_unref(io);
	if (e.code)
		image_warn(img, "the names of snapshots cannot be read: %s", e.text);
	if (root && strcmp(root->name, ROOT) != 0) {
		xml_free(root);
		root = NULL;
	}
	return root;
}

/* The next node in document order. */
static const struct xml *following(const struct xml *node)
{
	if (node->child)
		return node->child;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

const struct xml *parallels_snapshot_names_find(const struct xml *names, const char *guid)
{
	for (const struct xml *node = names; node; node = following(node)) {
		const char *its = xml_attr(node, "guid");

		if (its && strcmp(node->name, ITEM) == 0 &&
			parallels_descriptor_same_guid(its, guid))
			return node;
	}
	return NULL;
}
