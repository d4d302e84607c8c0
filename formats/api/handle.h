/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* handle.h - the handles of vdisk.h.
 *
 * Nothing changes the states and the chain of an image that is open here, so they are read without
 * states_lock.
 *
 * Locks: lock, then those of volumes.h, then those of the library.
 */
#ifndef VDISK_API_HANDLE_H
#define VDISK_API_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "image/image.h"
#include "open/words.h"
#include "place.h"
#include "util/err.h"
#include "vdisk.h"

struct volumes;

struct vdisk_image {
	struct open_words words;
	struct image_options how; /* borrows from words */
	struct passphrase *secrets;
	struct luks_header_file *luks_headers;
	struct nbd_server *servers[3]; /* of the image and its backing file; NULL-terminated */
	struct image *img;
	atomic_uint disks;   /* that are open */
	atomic_uint changes; /* of the live disk, by others than volumes */
	pthread_mutex_t lock;
	struct volumes *volumes; /* of the states that were looked at */
};

struct vdisk_disk {
	struct vdisk_image *image;
	struct place place;
	char *title; /* for messages: the name of the image, and the path */
	struct view *view;
	bool owns_view;
	struct volumes *volumes; /* of a volume, held; NULL: it is none */
	uint32_t sector;
	bool writable;
};

/* Copies e to *to, which may be NULL; returns -e->code. */
int handle_fail(struct vdisk_error *to, const struct err *e);

#endif
