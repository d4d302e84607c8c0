/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallels.h - private to the Parallels driver: parallels.c opens and maps disks,
 * file.c knows the files that they are made of, descriptor.c reads the descriptor of
 * a bundle, snapshot-names.c the names of its snapshots.
 *
 * A disk is cut into storages, one after another.  Each state of the disk (a shot) has a file for
 * each storage, with what was written while the state was the current one; the rest is in those of
 * its parent.  An expanding image by itself is a disk of one storage and one shot.
 */
#ifndef VDISK_DRIVER_PARALLELS_PARALLELS_H
#define VDISK_DRIVER_PARALLELS_PARALLELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct check_report;
struct err;
struct extent;
struct image;
struct io;
struct peek;
struct xml;

#define PARALLELS_SECTOR    512u
#define PARALLELS_HEADER    64u /* bytes; the BAT follows */
#define PARALLELS_BAT_ENTRY 4u
#define PARALLELS_AT_IN_USE 44u /* of the header: the mark of a writer */

/* Of one storage and one shot: a flat file, or an expanding image. */
struct parallels_file {
	struct io *io; /* a reference of its own; NULL: not opened */
	bool plain;
	bool unclean; /* somebody was writing to it; the rest is of expanding images, too */
	uint64_t size;
	uint64_t cluster; /* bytes; any number of sectors */
	uint64_t unit;    /* bytes that entries count in */
	uint64_t nentries;
	uint64_t data_pos;      /* no cluster lies before it */
	const struct xml *node; /* in the descriptor, as long as that is being read */
};

#define PARALLELS_NONE SIZE_MAX /* as parent */

struct parallels_shot {
	const char *guid; /* in the descriptor, as long as that is being read */
	size_t parent;
	char *broken; /* why its files cannot be read; NULL: they can */
};

struct parallels_storage {
	uint64_t start, len;          /* its bytes of the disk */
	struct parallels_file *files; /* by shot */
};

/* An opened disk. */
struct parallels {
	struct cache *cache;
	uint64_t size;
	uint32_t sector_size; /* as the guest sees it; 0: not told */
	size_t nshots, nstorages, top;
	struct parallels_shot *shots;
	struct parallels_storage *storages;
};

/* Makes room for these numbers of both. */
int parallels_make_room(struct parallels *p, size_t nstorages, size_t nshots, struct err *e);

/* file.c */

bool parallels_file_probe(const unsigned char *head, size_t len);

/* f->io is there. */
int parallels_file_read(struct parallels_file *f, struct err *e);

/* As in struct view_ops; BELOW needs no position. */
int parallels_file_map(const struct parallels_file *f, struct cache *cache, uint64_t off,
	uint64_t len, struct extent *x, struct err *e);

/* check.c, as in struct format */
int parallels_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

/* descriptor.c */

#define PARALLELS_DESCRIPTOR "DiskDescriptor.xml"
#define PARALLELS_PEEK       1024u /* bytes in which the root element begins */

bool parallels_desc_probe(const unsigned char *head, size_t len);

/* Fills p and opens the files.  What p says of guid and node lies in root. */
int parallels_desc_read(
	struct image *img, struct parallels *p, const struct xml *root, struct err *e);

bool parallels_same_guid(const char *a, const char *b);

/* snapshot-names.c */

/* The snapshots of the machine that the bundle belongs to, or NULL. */
struct xml *parallels_names_read(const struct image *img);

/* The one called guid in names, or NULL; names may be NULL. */
const struct xml *parallels_names_find(const struct xml *names, const char *guid);

#endif
