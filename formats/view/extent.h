/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* extent.h - a range of a view and the source of its bytes: the result of a driver's map. */
#ifndef VDISK_VIEW_EXTENT_H
#define VDISK_VIEW_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

struct crypt;
struct err;
struct io;
struct view;

enum extent_kind {
	EXTENT_ZERO,      /* reads as zeroes, whatever lies below */
	EXTENT_FILE,      /* bytes of a host file, as they are */
	EXTENT_BELOW,     /* bytes of the view below; zeroes beyond its end or without one */
	EXTENT_GENERATED, /* part of a unit that the owner decodes or computes (fill) */
	EXTENT_CRYPT,     /* bytes of a host file, encrypted */
};

/* A range of a view and the source of its bytes: it is read without another look at a table. */
struct extent {
	enum extent_kind kind;
	uint64_t len; /* > 0; view_resolve returns at most the length of its range */
	/* FILE, CRYPT: position in io; BELOW: offset in the view below; GENERATED: bytes to skip in
	 * the unit. */
	uint64_t pos;
	struct view *below;  /* BELOW: the view; set by view_map to that of owner, which a map
			      * replaces  by another one */
	struct io *io;       /* borrowed; FILE, CRYPT, GENERATED; NULL: the unit is computed */
	uint64_t unit_id;    /* GENERATED: names the unit among all units of io, else of owner */
	uint32_t unit_len;   /* GENERATED: bytes of the whole decoded unit */
	uint64_t sector;     /* CRYPT: number, for its cipher, of the sector that pos is in */
	struct crypt *crypt; /* CRYPT */
	bool inplace; /* the bytes may be overwritten at pos of io, even if kind is ZERO; encrypted
		       * if it is CRYPT */
	const struct view *owner; /* the view whose map this is; set by view_map */
	bool absent; /* ZERO because no view of the stack stores the range; set by view_follow */
};

/* Sets x to the extent of len bytes that start skip bytes into a run of units
 * (clusters, grains, blocks) of unit bytes each, stored in io from position start on.  A unit that
 * begins inside the file and runs over its end reads as zeroes there; one that begins at or past
 * the end is EIO: it was cut off.  unit 0: the whole run is one unit. */
int extent_in_file(struct extent *x, struct io *io, uint64_t start, uint64_t skip, uint64_t len,
	uint64_t unit, struct err *e);

/* Marks x, set by extent_in_file, as encrypted.  sector is the number, for the cipher, of the
 * sector at x->pos.  A sector that the file does not hold whole is EIO. */
int extent_encrypted(struct extent *x, struct crypt *crypt, uint64_t sector, struct err *e);

#endif
