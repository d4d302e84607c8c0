/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thin.h - a volume of a thin pool (dm-thin), over the pool's metadata and data.
 *
 * The pool has blocks of data, and for each of its devices a tree from the blocks of the device to
 * these.  A snapshot is a device whose tree shares nodes with that of its origin.
 */
#ifndef VDISK_VOLUME_LVM_THIN_H
#define VDISK_VOLUME_LVM_THIN_H

#include <stdbool.h>
#include <stdint.h>

struct cache;
struct err;
struct view;

#define THIN_NO_WRITING "a write to a thin volume may have to allocate space in its pool"

struct thin_volume {
	uint32_t device; /* its id in the pool */
	uint64_t size;   /* bytes */
	/* The pool, by LVM's metadata: */
	uint64_t chunk;       /* bytes of a block */
	uint64_t transaction; /* the last one; 0: it is not LVM that makes them */
	bool pending;         /* there are messages, so the pool may not have made it yet */
};

/* The volume.  Ranges without a block are those of origin, which may be shorter, or zeroes without
 * one (NULL).  The view owns the others on success.  It looks at the superblock again for each map,
 * so that it goes on with the trees of the last transaction when the pool changes below it.
 *
 * ENOTSUP: the pool must be checked or has an unknown feature; EUCLEAN: it is damaged, not that of
 * LVM's metadata, or has no such device. */
struct view *thin_view(const struct thin_volume *t, struct cache *cache, struct view *metadata,
	struct view *data, struct view *origin, struct err *e);

#endif
