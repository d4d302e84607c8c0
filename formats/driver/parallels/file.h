/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file.h - private to the Parallels driver: one file, flat or an expanding image. */
#ifndef VDISK_DRIVER_PARALLELS_FILE_H
#define VDISK_DRIVER_PARALLELS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct err;
struct extent;
struct io;
struct xml;

#define PARALLELS_SECTOR    512u
#define PARALLELS_HEADER    64u /* bytes; the BAT follows */
#define PARALLELS_BAT_ENTRY 4u
#define PARALLELS_AT_IN_USE 44u /* in the header: the mark of a writer */

/* The file of one storage and one snapshot. */
struct parallels_file {
	struct io *io; /* a reference of its own; NULL: not opened */
	bool plain;    /* flat: of the rest only size and node are set */
	bool unclean;  /* it was not closed by its last writer */
	uint64_t size;
	uint64_t cluster; /* bytes; any number of sectors */
	uint64_t unit;    /* bytes that BAT entries count in */
	uint64_t nentries;
	uint64_t data_pos;      /* no cluster lies before it */
	const struct xml *node; /* its <Image> while the descriptor is read */
};

/* The head of a file is that of an expanding image. */
bool parallels_file_probe(const unsigned char *head, size_t len);

/* Reads the header of an expanding image; f->io is set. */
int parallels_file_read(struct parallels_file *f, struct err *e);

/* As map of struct view_ops; x->pos of EXTENT_BELOW is not set. */
int parallels_file_map(const struct parallels_file *f, struct cache *cache, uint64_t off,
	uint64_t len, struct extent *x, struct err *e);

#endif
