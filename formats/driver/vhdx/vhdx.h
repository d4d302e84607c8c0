/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx.h - private to the VHDX driver: vhdx.c opens, header.c reads headers and the region
 * table, log-replay.c replays the log, metadata.c reads the metadata, map.c walks the BAT,
 * check.c looks for damage.  What writes is in write.h, what makes new files in
 * encode.h.
 *
 * Section numbers are those of the published format, [MS-VHDX].  All integers are little-endian.
 */
#ifndef VDISK_DRIVER_VHDX_VHDX_H
#define VDISK_DRIVER_VHDX_VHDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/guid.h"
#include "view/view.h"

struct check_report;
struct err;
struct image;
struct io;

#define VHDX_MIB        (1u << 20) /* what everything but the headers is aligned to */
#define VHDX_HEADER_LEN 4096u
#define VHDX_TABLE_LEN  (64u << 10) /* of regions or of metadata */

extern const uint64_t vhdx_header_pos[2], vhdx_regions_pos[2];
extern const unsigned char vhdx_bat_guid[GUID_LEN], vhdx_metadata_guid[GUID_LEN];

/* Items of metadata. */
enum vhdx_item {
	VHDX_PARAMETERS,
	VHDX_SIZE,
	VHDX_SECTOR,
	VHDX_PHYSICAL_SECTOR,
	VHDX_DISK_ID,
	VHDX_LOCATOR,
	VHDX_ITEMS
};

/* In the BAT, the low bits of an entry. */
enum vhdx_block_state {
	VHDX_NOT_PRESENT = 0,
	VHDX_UNDEFINED = 1,
	VHDX_ZERO = 2,
	VHDX_UNMAPPED = 3,
	VHDX_UNMAPPED_DRAFT = 5, /* in files older than version 1.0 of the format */
	VHDX_FULLY_PRESENT = 6,
	VHDX_PARTIALLY_PRESENT = 7,
};

/* The header that is current. */
struct vhdx_header {
	unsigned slot; /* which of the two it is */
	uint64_t sequence;
	unsigned char file_guid[GUID_LEN]; /* new whenever somebody begins to write */
	unsigned char data_guid[GUID_LEN]; /* new with each change that a guest can see */
	unsigned char log_guid[GUID_LEN];  /* zero: there is nothing in the log */
	uint64_t log_pos;
	uint32_t log_len;
};

/* A part of the file in which no block may lie. */
struct vhdx_range {
	const char *what;
	uint64_t pos, len;
};

enum vhdx_part { VHDX_HEADERS, VHDX_LOG, VHDX_BAT, VHDX_METADATA, VHDX_PARTS };

struct vhdx {
	struct view view;
	struct io *io; /* the file; with a log in it, the file as it will be after a replay */
	struct vhdx_header header;
	bool replayed;
	struct vhdx_range parts[VHDX_PARTS];
	uint32_t block_size;
	uint32_t sector_size, physical_sector_size;
	uint32_t ratio; /* blocks that one block of sector bitmaps is for */
	uint64_t nblocks;
	bool fixed, differencing;
	unsigned char disk_id[GUID_LEN];
	char linkage[2][GUID_TEXT];   /* the parent's data_guid is one of them; "": not given */
	uint64_t size_pos;            /* in the file, of the item that says how long the disk is */
	bool size_is_shared;          /* another item has bytes of it */
	struct vhdx_writing *writing; /* NULL: it is only read */
};

static inline uint64_t vhdx_bat_index(const struct vhdx *d, uint64_t block)
{
	return block + block / d->ratio;
}

/* vhdx.c: the entries of the BAT that a disk of so many blocks needs. */
uint64_t vhdx_bat_entries(const struct vhdx *d, uint64_t nblocks);

/* header.c */

/* What belongs into the second field of the structure of len bytes at p: the checksum of all of it
 * with that field as zero. */
uint32_t vhdx_checksum(const unsigned char *p, size_t len);

/* Does it begin with the signature, and is the checksum right? */
bool vhdx_is_valid(const unsigned char *p, size_t len, const char *signature);

/* Both set parts. */
int vhdx_header_read(struct vhdx *d, struct err *e);
int vhdx_regions_read(struct vhdx *d, struct err *e);

/* log-replay.c: *replayed is file with the log that h describes replayed in memory; it holds file.
 */
int vhdx_log_replay(
	struct io *file, const struct vhdx_header *h, struct io **replayed, struct err *e);

/* metadata.c: all that is between linkage and block_size, the size, and the parent's names. */
extern const unsigned char vhdx_locator_type[GUID_LEN];
const unsigned char *vhdx_item_guid(enum vhdx_item item);
int vhdx_metadata_read(struct image *img, struct vhdx *d, struct err *e);

/* map.c */
int vhdx_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

#define VHDX_BAT_ENTRY      8u
#define VHDX_STATE_MASK     7u
#define VHDX_POSITION_MASK  (~(uint64_t)(VHDX_MIB - 1))
#define VHDX_BITMAP_PRESENT 6u /* the state of a block of sector bitmaps */

/* The position in the file of entry i of the BAT. */
static inline uint64_t vhdx_entry_pos(const struct vhdx *d, uint64_t i)
{
	return d->parts[VHDX_BAT].pos + i * VHDX_BAT_ENTRY;
}

/* The entry for the block of sector bitmaps of the chunk that block is in. */
static inline uint64_t vhdx_bitmap_index(const struct vhdx *d, uint64_t block)
{
	return block / d->ratio * (d->ratio + UINT64_C(1)) + d->ratio;
}

/* check.c, as in struct format */
int vhdx_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

#endif
