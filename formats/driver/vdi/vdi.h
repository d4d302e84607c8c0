/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.h - private to the VDI driver: vdi.c opens and maps, write.c changes, with the room that
 * alloc.c finds, resize.c makes disks longer, create.c makes new ones, export.c
 * makes files up, check.c looks for damage. */
#ifndef VDISK_DRIVER_VDI_VDI_H
#define VDISK_DRIVER_VDI_VDI_H

#include <stdbool.h>
#include <stdint.h>

#include "image/creation.h"
#include "util/guid.h"
#include "view/view.h"

struct check_report;
struct image;
struct export_format;

#define VDI_SIGNATURE  0xbeda107fu
#define VDI_VERSION_0  0x00000002u /* 0.2, the only one before 1 */
#define VDI_VERSION_1  0x00010001u
#define VDI_ENTRY_FREE 0xffffffffu /* never written: the parent's, or zeroes */
#define VDI_ENTRY_ZERO 0xfffffffeu /* zeroes, whatever the parent has */

/* In the header of version 1, counted from the start of the file. */
#define VDI_PLACES 340u /* of the map, of the data area */
#define VDI_SIZE   368u /* of the disk; the block size, the extra bytes and the blocks follow */
#define VDI_COUNT  388u /* of the blocks that are stored */
#define VDI_IDS    392u /* of the image, of what it holds; the same of its parent */
#define VDI_CHANGE (VDI_IDS + GUID_LEN)

enum vdi_type { VDI_DYNAMIC = 1, VDI_FIXED = 2, VDI_UNDO = 3, VDI_DIFFERENCING = 4 };

struct vdi_alloc;

struct vdi {
	struct view view;
	struct io *io;
	enum vdi_type type;
	bool version_0;
	uint64_t map_pos, data_pos;
	uint32_t block_size;
	uint32_t extra; /* bytes of VirtualBox's own before the data of each block */
	uint32_t nblocks;
	uint32_t count;          /* what the header says of stored blocks, or will say */
	struct vdi_alloc *alloc; /* of a writable image */
};

static inline bool vdi_is_stored(uint32_t entry)
{
	return entry < VDI_ENTRY_ZERO;
}

/* Where block number entry of the data area begins, with its extra bytes. */
static inline uint64_t vdi_block_pos(const struct vdi *d, uint32_t entry)
{
	return d->data_pos + entry * ((uint64_t)d->block_size + d->extra);
}

/* Does the file hold all that the disk shows of a block, which is stored as number entry? */
bool vdi_block_is_whole(const struct vdi *d, uint32_t block, uint32_t entry);

/* Where the entry of a block stands. */
static inline uint64_t vdi_entry_pos(const struct vdi *d, uint32_t block)
{
	return d->map_pos + 4 * (uint64_t)block;
}

/* export.c */
extern const struct export_format vdi_layout;

/* create.c */

/* What a header of version 1 says. */
struct vdi_header {
	enum vdi_type type;
	uint64_t size;
	uint32_t map_pos, data_pos, block_size, nblocks;
	uint32_t count;                 /* of the blocks that are stored */
	unsigned char ids[4][GUID_LEN]; /* of the image, of what it holds; the same of its parent */
};

#define VDI_HEADER_LEN 512u

void vdi_header_encode(const struct vdi_header *h, unsigned char *p);

int vdi_create(struct creation *c, struct err *e);
extern const struct create_option vdi_create_options[];

/* write.c */

/* The image is open: if it shall be written, lets it, or says why it cannot. */
void vdi_let_write(struct image *img, struct vdi *d);
int vdi_start_writing(struct image *img, struct err *e);

/* Writes back what was changed, if it is much. */
int vdi_write_back_some(struct vdi *d, struct err *e);

/* Entries from that of the block on that lie in one page: they change together or not at all. */
uint32_t vdi_entries_in_page(const struct vdi *d, uint32_t block);

/* resize.c */
int vdi_resize(struct view *v, uint64_t size, struct err *e);

/* alloc.c: which blocks of the data area are taken.  Under the meta lock. */

/* Reads the whole map.  -EUCLEAN: an entry of it cannot be right, so that nobody may write. */
int vdi_alloc_new(struct vdi *d, struct err *e);
void vdi_alloc_free(struct vdi_alloc *a); /* NULL is fine */

/* The block behind the last one that is taken. */
uint32_t vdi_alloc_end(const struct vdi_alloc *a);

/* How many are taken. */
uint32_t vdi_alloc_taken(const struct vdi_alloc *a);

/* Takes up to max > 0 free blocks that lie one after another; returns how many. */
uint32_t vdi_alloc_take(struct vdi_alloc *a, uint32_t max, uint32_t *first);

/* Gives back what no entry of the map has. */
void vdi_alloc_give(struct vdi_alloc *a, uint32_t first, uint32_t n);

/* The disk has this many blocks now. */
int vdi_alloc_grow(struct vdi_alloc *a, uint32_t nblocks, struct err *e);

/* Moves blocks from the end of the data area into its gaps, if there are any.  Nobody else may be
 * inside the image; durable on return. */
int vdi_alloc_close_gaps(struct vdi *d, struct err *e);

/* The same with the first n places, which are free then.  The map has numbers for the others. */
int vdi_alloc_clear_front(struct vdi *d, uint32_t n, struct err *e);

/* The data area begins n places later, which were free. */
void vdi_alloc_shift(struct vdi_alloc *a, uint32_t n);

/* The whole map: the n entries from that of block first on stand at p. */
typedef int vdi_map_fn(
	void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e);
int vdi_map_each(struct vdi *d, vdi_map_fn *each, void *arg, struct err *e);

/* check.c, as in struct format */
int vdi_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

#endif
