/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk.h - private to the Parallels driver: an opened disk.
 *
 * A disk is cut into storages, one after another.  Each snapshot, and the current state, has a file
 * in each storage, which holds the clusters that were written while it was current; the others are
 * those of its parent.  The current state is listed among the snapshots.  A single expanding image
 * is a disk of one storage and one snapshot.
 */
#ifndef VDISK_DRIVER_PARALLELS_DISK_H
#define VDISK_DRIVER_PARALLELS_DISK_H

#include <stddef.h>
#include <stdint.h>

struct cache;
struct check_report;
struct err;
struct image;
struct parallels_file;

#define PARALLELS_NONE SIZE_MAX /* as parent */

struct parallels_snapshot {
	const char *guid; /* points into the XML of the descriptor */
	size_t parent;
	char *broken; /* the reason why its files cannot be read; NULL: they can */
};

struct parallels_storage {
	uint64_t start, len;          /* its bytes of the disk */
	struct parallels_file *files; /* by snapshot */
};

struct parallels {
	struct cache *cache;
	uint64_t size;
	uint32_t sector_size; /* as the guest sees it; 0: not recorded */
	size_t nsnapshots, nstorages, top;
	struct parallels_snapshot *snapshots;
	struct parallels_storage *storages;
};

/* Allocates the arrays.  Free the disk with parallels_disk_free, also on failure. */
int parallels_disk_alloc(struct parallels *p, size_t nstorages, size_t nsnapshots, struct err *e);
void parallels_disk_free(struct parallels *p);

/* Adds the state of the disk at a snapshot to the image; NULL on failure. */
struct state *parallels_disk_add_state(struct image *img, const struct parallels *p,
	size_t snapshot, const char *id, const char *name, struct err *e);

/* check.c: as in struct format. */
int parallels_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

#endif
