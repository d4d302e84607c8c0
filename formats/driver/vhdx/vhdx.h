/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx.h - the VHDX driver: an opened disk, and the constants of the format.
 *
 * driver.c opens images; header.c has the two headers, region-table.c the regions, metadata.c the
 * metadata table; log-replay.c replays the log in memory and log-write.c writes it; map.c reads the
 * BAT; alloc.c finds free space; write.c changes the disk and resize.c its size; check.c looks for
 * damage; create.c makes images, export.c files over other disks.
 *
 * Section numbers are those of the published format, [MS-VHDX].  All integers are little-endian.
 */
#ifndef VDISK_DRIVER_VHDX_VHDX_H
#define VDISK_DRIVER_VHDX_VHDX_H

#include <stdbool.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/guid.h"
#include "driver/common/freed.h"
#include "image/creation.h"
#include "view/view.h"

struct check_report;
struct err;
struct export_format;
struct image;
struct io;

#define VHDX_MIB       (1u << 20)  /* all but the headers is aligned to it */
#define VHDX_TABLE_LEN (64u << 10) /* of regions or of metadata */

/* Entries of the BAT: a state in the low bits, a position in the high ones. */
#define VHDX_BAT_ENTRY      8u
#define VHDX_STATE_MASK     7u
#define VHDX_POSITION_MASK  (~(uint64_t)(VHDX_MIB - 1))
#define VHDX_BITMAP_PRESENT 6u /* the state of a sector bitmap block */

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
	unsigned slot; /* of the two */
	uint64_t sequence;
	unsigned char file_guid[GUID_LEN]; /* new for each program that begins to write */
	unsigned char data_guid[GUID_LEN]; /* new with each change that a guest can see */
	unsigned char log_guid[GUID_LEN];  /* zero: the log is empty */
	uint64_t log_pos;
	uint32_t log_len;
};

/* A part of the file in which no block may lie. */
struct vhdx_range {
	const char *what;
	uint64_t pos, len;
};

enum vhdx_part { VHDX_HEADERS, VHDX_LOG, VHDX_BAT, VHDX_METADATA, VHDX_PARTS };

/* The MiB of the file, alloc.c. */
struct vhdx_alloc {
	unsigned char *used; /* a bit each */
	uint64_t n;          /* of the file as it has to be */
	uint64_t capacity;   /* bits in memory */
	uint64_t nfree;
};

/* The next entry of the log, log-write.c. */
struct vhdx_log {
	unsigned char *entry;
	uint32_t npages;   /* in it */
	uint32_t next;     /* sector of the log where it goes */
	uint64_t sequence; /* of the last one */
};

/* A new file. */
struct vhdx_new {
	struct vhdx_header header;
	uint64_t metadata_pos, bat_pos;
	uint32_t bat_len;
	uint64_t size;
	uint32_t block_size, sector_size;
	bool fixed;
	unsigned char disk_id[GUID_LEN];
	const unsigned char *locator; /* item of locator_len bytes; NULL: no parent */
	uint32_t locator_len;
};

struct vhdx {
	struct view view;
	struct io *io; /* the file; with entries in the log, the file as after their replay */
	struct vhdx_header header;
	bool replayed;
	struct vhdx_range parts[VHDX_PARTS];
	uint32_t block_size;
	uint32_t sector_size, physical_sector_size;
	uint32_t ratio; /* payload blocks for each sector bitmap block */
	uint64_t nblocks;
	bool fixed, differencing;
	unsigned char disk_id[GUID_LEN];
	char linkage[2][GUID_TEXT]; /* the parent's data_guid is one of them; "": not given */
	uint64_t size_pos;          /* in the file, of the item with the size of the disk */
	bool size_is_shared;        /* another item overlaps it */

	/* For an image that is written to: */
	struct vhdx_alloc alloc;
	struct vhdx_log log;
	struct freed freed; /* bytes of blocks */
};

/* The index in the BAT of the entry of a payload block. */
static inline uint64_t vhdx_bat_index(const struct vhdx *d, uint64_t block)
{
	return block + block / d->ratio;
}

/* The index of the entry for the sector bitmap block of the chunk that a payload block is in. */
static inline uint64_t vhdx_bitmap_index(const struct vhdx *d, uint64_t block)
{
	return block / d->ratio * (d->ratio + UINT64_C(1)) + d->ratio;
}

static inline bool vhdx_is_bitmap_index(const struct vhdx *d, uint64_t i)
{
	return i % (d->ratio + UINT64_C(1)) == d->ratio;
}

/* The payload block of entry i, which is not of a sector bitmap block. */
static inline uint64_t vhdx_block_of_index(const struct vhdx *d, uint64_t i)
{
	return i - i / (d->ratio + UINT64_C(1));
}

/* The entries of the BAT for so many blocks; only the BAT of a differencing disk goes on to the
 * sector bitmap block of the last chunk. */
static inline uint64_t vhdx_bat_entries(const struct vhdx *d, uint64_t nblocks)
{
	if (d->differencing)
		return div_round_up(nblocks, d->ratio) * (d->ratio + UINT64_C(1));
	return nblocks > 0 ? vhdx_bat_index(d, nblocks - 1) + 1 : 0;
}

static inline uint64_t vhdx_entry_pos(const struct vhdx *d, uint64_t i)
{
	return d->parts[VHDX_BAT].pos + i * VHDX_BAT_ENTRY;
}

static inline bool vhdx_is_stored(uint64_t entry)
{
	return (entry & VHDX_STATE_MASK) >= VHDX_FULLY_PRESENT;
}

/* Bytes that the disk has of a block: the last one may be longer than the rest of the disk. */
static inline uint64_t vhdx_visible(const struct vhdx *d, uint64_t block)
{
	uint64_t off = block * d->block_size;

	return off < d->view.size ? MIN(d->block_size, d->view.size - off) : 0;
}

/* Entry points that struct format and struct write_ops name, each in the file of its name. */
int vhdx_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);
int vhdx_create(struct creation *c, struct err *e);
extern const struct create_option vhdx_create_options[];
extern const struct export_format vhdx_export;
int vhdx_resize(struct view *v, uint64_t size, struct err *e);
extern const struct write_ops vhdx_write_ops;

#endif
