/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.h - the VDI driver: an opened disk, and where its blocks lie.
 *
 * driver.c opens images; header.c decodes and encodes the header; map.c reads the block map;
 * alloc.c finds free slots of the data area; write.c changes the disk and resize.c its size;
 * check.c looks for damage; create.c makes images, export.c files over other disks.
 *
 * The data area is an array of slots, each as long as a block and its extra bytes.  An entry of the
 * block map is the number of the slot that holds the block, or one of two values for none.  All
 * integers are little-endian.
 */
#ifndef VDISK_DRIVER_VDI_VDI_H
#define VDISK_DRIVER_VDI_VDI_H

#include <stdbool.h>
#include <stdint.h>

#include "image/creation.h"
#include "view/view.h"

struct check_report;
struct export_format;
struct image;

#define VDI_ENTRY_FREE 0xffffffffu /* never written: the parent's bytes, or zeroes */
#define VDI_ENTRY_ZERO 0xfffffffeu /* zeroes, whatever the parent has */

enum vdi_type { VDI_DYNAMIC = 1, VDI_FIXED = 2, VDI_UNDO = 3, VDI_DIFFERENCING = 4 };

/* The slots of the data area, alloc.c. */
struct vdi_alloc {
	unsigned char *used; /* a bit each, and one more that is never set */
	uint32_t nslots;
	uint32_t nused;
	uint32_t end;       /* after the last one in use */
	uint32_t first;     /* none before it is free */
	uint32_t low, high; /* while blocks move: those outside of it do */
};

struct vdi {
	struct view view;
	struct io *io;
	enum vdi_type type;
	bool version_0;
	uint64_t map_pos, data_pos;
	uint32_t block_size;
	uint32_t extra; /* bytes of VirtualBox's own before the data of each block */
	uint32_t nblocks;
	uint32_t count;         /* allocated blocks, as the header has or will have it */
	struct vdi_alloc alloc; /* of an image that is written to */
};

static inline bool vdi_is_stored(uint32_t entry)
{
	return entry < VDI_ENTRY_ZERO;
}

static inline uint64_t vdi_slot_len(const struct vdi *d)
{
	return (uint64_t)d->block_size + d->extra;
}

/* The position in the file of a slot, which begins with the extra bytes. */
static inline uint64_t vdi_slot_pos(const struct vdi *d, uint32_t slot)
{
	return d->data_pos + slot * vdi_slot_len(d);
}

/* The position in the file of the entry of a block. */
static inline uint64_t vdi_entry_pos(const struct vdi *d, uint32_t block)
{
	return d->map_pos + 4 * (uint64_t)block;
}

/* Entry points that struct format and struct write_ops name, each in the file of its name. */
int vdi_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);
int vdi_create(struct creation *c, struct err *e);
extern const struct create_option vdi_create_options[];
extern const struct export_format vdi_export;
int vdi_resize(struct view *v, uint64_t size, struct err *e);
extern const struct write_ops vdi_write_ops;

#endif
