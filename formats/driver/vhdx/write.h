/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - private to what writes VHDX images: write.c puts new blocks on the map,
 * alloc.c knows which room of the file is free, log-write.c logs what changes, resize.c
 * makes disks longer, check.c mends.
 *
 * All of it runs under the meta lock of the image.
 */
#ifndef VDISK_DRIVER_VHDX_WRITE_H
#define VDISK_DRIVER_VHDX_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhdx.h"

struct check_report;
struct err;
struct image;
struct view;
struct write_ops;

/* Pages that the log takes at a time: the descriptors of an entry are all in its first sector. */
#define VHDX_LOG_PAGES 126u

/* Pages of metadata that one operation of the driver changes at most. */
#define VHDX_OPERATION_PAGES 40u

struct vhdx_writing {
	/* Room, in MiB. */
	unsigned char *used; /* a bit each */
	uint64_t n;          /* of the file as it has to be */
	uint64_t room;       /* bits that there is memory for */
	uint64_t nfree;

	/* Blocks that were taken off the map; the first of them durably. */
	uint64_t *freed;
	size_t nfreed, freed_room, ndurable;

	/* The log. */
	unsigned char *entry; /* in the making */
	uint32_t npages;      /* in it */
	uint32_t next;        /* sector of the log where it goes */
	uint64_t sequence;    /* of the last one */
};

/* header.c */

/* Is told of every region of the file: whose bytes, though they may not be known, are in use. */
typedef int vhdx_region_fn(void *arg, uint64_t pos, uint64_t len, struct err *e);
int vhdx_regions_each(struct vhdx *d, vhdx_region_fn *each, void *arg, struct err *e);

/* The region tables, when they are written back, say that the BAT is there. */
int vhdx_regions_move_bat(struct vhdx *d, uint64_t pos, uint32_t len, struct err *e);

/* Makes the header, in the place of the older one, current and durable; once more for both. */
int vhdx_header_write(struct vhdx *d, struct err *e);
int vhdx_headers_write(struct vhdx *d, struct err *e);

/* write.c */
extern const struct write_ops vhdx_write_ops;
int vhdx_start_writing(struct image *img, struct err *e);

/* The log that was replayed in memory is replayed in the file. */
int vhdx_replay(struct image *img, struct vhdx *d, struct err *e);
void vhdx_writing_free(struct vhdx_writing *w); /* NULL is fine */

/* alloc.c */

/* Finds out what is free; refuses what two things use. */
int vhdx_room_scan(struct vhdx *d, struct err *e);

/* The same for who looks for damage: is told what two things use, and what is not there. */
int vhdx_room_check(struct vhdx *d, struct check_report *report, struct err *e);

/* len bytes, whole MiB, that read as zeroes; the file is long enough then. */
int vhdx_room_take(struct vhdx *d, uint64_t len, uint64_t *pos, struct err *e);
void vhdx_room_give(struct vhdx *d, uint64_t pos, uint64_t len);

/* Cuts off what is free at the end of the file. */
int vhdx_room_trim(struct vhdx *d, struct err *e);

/* log-write.c */

/* What the log says becomes what the file says. */
int vhdx_journal_replay(struct vhdx *d, struct io *file, struct err *e);

int vhdx_journal_start(struct vhdx *d, struct err *e);

/* Before the pages that wait are written back: they are in the log, durably. */
int vhdx_journal_prepare(struct view *v, struct err *e);

/* All that was logged is in its place: the log is empty. */
int vhdx_journal_end(struct vhdx *d, struct err *e);

/* resize.c */
int vhdx_resize(struct view *v, uint64_t size, struct err *e);

#endif
