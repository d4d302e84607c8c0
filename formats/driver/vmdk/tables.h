/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tables.h - private to the VMDK driver: grain directory and grain tables of a sparse extent.
 *
 * A grain directory has the sectors of grain tables, and these have the sectors of grains.  There
 * may be a redundant copy of both, which is used for entries of the first that cannot be right.
 *
 * An entry that points neither to a possible table nor to a possible grain is damage.  It is
 * reported for the range of the disk that it maps; the rest of the disk can be read.
 */
#ifndef VDISK_DRIVER_VMDK_TABLES_H
#define VDISK_DRIVER_VMDK_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmdk.h"

struct cache;
struct extent;
struct io;
struct vmdk_allocator;
struct vmdk_extent;
struct vmdk_tables;

/* A decoded entry, of either level and of any kind of extent: a sector, or one of these. */
#define VMDK_NONE UINT64_C(0) /* not allocated: the parent's, or zeroes */
#define VMDK_ZERO UINT64_C(1) /* zeroes, whatever the parent has */
#define VMDK_BAD  UINT64_MAX  /* the entry has no meaning */

#define VMDK_ENTRY 4u /* bytes of an entry of a hosted extent */

static inline bool vmdk_tables_is_sector(uint64_t place)
{
	return place > VMDK_ZERO;
}

typedef uint64_t vmdk_decode(const struct vmdk_tables *t, const unsigned char *entry);

struct vmdk_tables {
	struct cache *cache;
	struct io *io;
	vmdk_decode *table_at, *grain_at; /* decode entries of the directory and of tables */
	uint32_t entry_len;               /* bytes, in both */
	uint32_t per_table;               /* grains that a table maps */
	uint32_t grain;                   /* bytes */
	uint64_t capacity;                /* bytes of disk that are mapped */
	uint64_t ngrains;
	uint64_t gd_pos, gd_len;      /* bytes */
	uint64_t rgd_pos;             /* 0: no redundant directory */
	uint64_t text_pos, text_len;  /* bytes of the embedded descriptor; 0: there is none */
	uint64_t first_grain;         /* the first sector that may hold a grain */
	bool zero_grains;             /* VMDK_ZERO in a table is possible */
	bool compressed;              /* grains vary in length: no two make a run */
	bool zero_marks;              /* the header declares VMDK_ZERO, also in the directory */
	struct vmdk_allocator *alloc; /* of an extent that is written: alloc.h */
};

/* Decodes an entry that is a sector of 32 bits. */
vmdk_decode vmdk_tables_decode_sector;

/* Computes ngrains and gd_len from the other fields. */
int vmdk_tables_measure(struct vmdk_tables *t, struct err *e);

/* The directory, if it begins in this sector, lies inside the file. */
bool vmdk_tables_valid_directory(const struct vmdk_tables *t, uint64_t sector);

/* Sets gd_pos to this sector, if that is valid. */
int vmdk_tables_place(struct vmdk_tables *t, uint64_t sector, struct err *e);

/* The number of grain tables, of one directory. */
uint64_t vmdk_tables_count(const struct vmdk_tables *t);

/* Table i can be in this sector; a table can have this decoded entry. */
bool vmdk_tables_valid_table(const struct vmdk_tables *t, uint64_t i, uint64_t sector);
bool vmdk_tables_valid_grain(const struct vmdk_tables *t, uint64_t place);

/* The file holds all that the disk shows of a grain in this sector. */
bool vmdk_tables_grain_is_whole(const struct vmdk_tables *t, uint64_t grain, uint64_t sector);

/* Reads entry i of the directory at this position. */
int vmdk_tables_read_place(const struct vmdk_tables *t, uint64_t directory, uint64_t i,
	uint64_t *place, struct err *e);

/* Reads the directory and counts the entries that only the redundant one has. */
int vmdk_tables_check(const struct vmdk_tables *t, uint64_t *lost, struct err *e);

/* The sector of table i, or VMDK_NONE or VMDK_ZERO, which all of its grains are; the sector of the
 * redundant table, or VMDK_NONE when there is none that is possible. */
struct vmdk_table_pair {
	uint64_t table, redundant;
};
int vmdk_tables_find_pair(
	const struct vmdk_tables *t, uint64_t i, struct vmdk_table_pair *p, struct err *e);

/* The position of a grain's entry, in the table in this sector. */
static inline uint64_t vmdk_tables_entry_pos(
	const struct vmdk_tables *t, uint64_t table, uint64_t grain)
{
	return table * VMDK_SECTOR + grain % t->per_table * t->entry_len;
}

/* The first n entries of a table lie in a hole of the host file.  Some writers make all tables of a
 * huge disk one hole, which would take long to read. */
bool vmdk_tables_in_hole(const struct vmdk_tables *t, uint64_t table, uint64_t n);

/* As map of struct vmdk_kind.  A compressed grain has its sector in out->pos and its number in
 * out->unit_id: the caller sets the other fields of EXTENT_GENERATED. */
int vmdk_tables_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e);

#endif
